//! Many requests, each with an ID of its own: the agent's memory stays, and each ID stays with its request.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use asyncscope_model::{Closed, Config, Detail, Graph};
use asyncscope_tests::kernel;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_trace::event::TaskId;
use asyncscope_trace::recording::Reader;

use super::{Heads, PATIENCE, attach};
use crate::Test;

/// As many requests, unless `ASYNCSCOPE_IDS` says otherwise.
const REQUESTS: usize = 30_000;
const CLIENTS: usize = 8;
/// Parts of all requests, in tenths, after which the agent's memory is looked at.
const LOOKS: [usize; 3] = [1, 3, 10];
/// What the agent may take more after the last part than after the one before: its rings are touched page by
/// page, and what waits in it to be put in order depends on how busy the machine is.
const GROWTH_KIB: u64 = 24 << 10;

pub(crate) fn test() -> (String, Test) {
    ("heads::many_ids".to_owned(), Box::new(many_ids))
}

fn many_ids() -> Result<()> {
    let requests = std::env::var("ASYNCSCOPE_IDS").map_or(Ok(REQUESTS), |count| count.parse())?;
    let scratch = Scratch::new()?;
    let record = scratch.file("many.ascope");
    let mut target = Heads::start(Command::new(paths::heads()?).arg("forgetful"))?;
    let agent = attach(&target, &record, &[])?;
    let (mut tasks, mut resident) = (HashMap::new(), Vec::new());
    let next = AtomicUsize::new(0);
    for tenths in LOOKS {
        tasks.extend(ask(&target.address, &next, requests * tenths / 10)?);
        let kib = kernel::holdings(agent.process.pid())?.resident_kib;
        eprintln!("heads::many_ids: {} MiB after {} requests", kib >> 10, tasks.len());
        resident.push(kib);
    }
    agent.interrupt()?;
    target.process.close_input();
    ensure!(target.process.wait(PATIENCE)?.success(), "the target failed");
    judge(&record, &tasks)?;
    eprintln!("heads::many_ids: {} MiB recorded", fs::metadata(&record)?.len() >> 20);
    let [_, before, after] = resident[..] else { anyhow::bail!("not looked at") };
    ensure!(after < before + GROWTH_KIB, "the agent's memory grows: {resident:?} KiB");
    Ok(())
}

/// Asks until this many requests were answered, each with the next number as its ID. Returns the task that each
/// ID's handler spawned.
fn ask(address: &str, next: &AtomicUsize, until: usize) -> Result<Vec<(String, u64)>> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| one_after_the_other(address, next, until))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        // Each client took one that was too many.
        next.store(until, Ordering::Relaxed);
        Ok(all)
    })
}

fn one_after_the_other(address: &str, next: &AtomicUsize, until: usize) -> Result<Vec<(String, u64)>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut answered = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= until {
            return Ok(answered);
        }
        let id = format!("distinct-{number}");
        stream
            .write_all(format!("GET /spawn/{number} HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\n\r\n").as_bytes())?;
        answered.push((id, answer(&mut reader)?));
    }
}

/// The number in a response's body.
fn answer(reader: &mut BufReader<TcpStream>) -> Result<u64> {
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(reader.read_line(&mut line)? > 0, "the server closed");
        if line == "\r\n" {
            break;
        }
        length =
            line.strip_prefix("content-length: ").map(|length| length.trim().parse::<usize>()).transpose()?.or(length);
    }
    let mut body = vec![0; length.context("no length")?];
    reader.read_exact(&mut body)?;
    Ok(std::str::from_utf8(&body)?.parse()?)
}

/// Each request that was reported has its own ID and its own task, and was answered; none is missing.
fn judge(record: &Path, tasks: &HashMap<String, u64>) -> Result<()> {
    let reader = Reader::new(BufReader::new(File::open(record)?))?;
    let mut graph = Graph::new(&Config::from(reader.facts()).with_detail(Detail::Requests));
    let recording = reader.read(&mut |event| graph.apply(&event));
    graph.finish(recording.end_ns.context("no end")?);
    let gaps = graph.totals().gaps;
    ensure!(
        graph.requests().len() == tasks.len(),
        "{} requests of {}; {gaps} gaps",
        graph.requests().len(),
        tasks.len()
    );
    let (mut of_tasks, mut answered) = (0, 0);
    for request in graph.requests() {
        let id = request.ids.shown().map(|id| String::from_utf8_lossy(&id.value).into_owned()).unwrap_or_default();
        let path = String::from_utf8_lossy(&request.line.path);
        ensure!(id.strip_prefix("distinct-") == path.strip_prefix("/spawn/"), "{id} is not the ID of {path}");
        let task = TaskId(*tasks.get(&id).context("an ID that nobody sent")?);
        let owner = graph.owner(task).request();
        ensure!(owner.is_none() || owner == Some(request.id), "the task of {id} is taken for one of {owner:?}");
        of_tasks += usize::from(owner.is_some());
        answered += usize::from(request.end.is_some_and(|end| end.how == Closed::Answered { status: 200 }));
    }
    eprintln!(
        "heads::many_ids: {of_tasks} tasks and {answered} responses of {} requests joined, {gaps} gaps",
        tasks.len()
    );
    let enough = if gaps == 0 { tasks.len() } else { tasks.len() * 9 / 10 };
    ensure!(of_tasks >= enough && answered >= enough, "too few");
    Ok(())
}
