//! HTTP heads: what a recording says went through each connection, against all bytes that did.

mod client;
mod many;
mod reference;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_trace::event::{Change, Event, Message, Source, Start, What};
use asyncscope_trace::facts::NotSeen;

use crate::Test;
use reference::{Connection, Head};

const PATIENCE: Duration = Duration::from_secs(60);

type Way = fn() -> Result<()>;

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: [(&str, Way); 8] = [
        ("heads::attach", attached),
        ("heads::run", run),
        ("heads::stripped", stripped),
        ("heads::one_by_one", one_by_one),
        ("heads::tracepoints", tracepoints),
        ("heads::run_with_tracepoints", run_with_tracepoints),
        ("heads::connections_from_before", from_before),
        ("heads::encrypted", encrypted),
    ];
    let tests = tests.into_iter().map(|(name, test)| (name.to_owned(), Box::new(test) as Test));
    tests.chain([secrets::test(), many::test()]).collect()
}

/// The target, at its address.
pub(crate) struct Heads {
    pub(crate) process: Running,
    pub(crate) address: String,
}

impl Heads {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::of(Running::start(command)?)
    }

    fn of(mut process: Running) -> Result<Self> {
        let ready = process.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
        let address = ready.trim_start_matches("ready ").to_owned();
        Ok(Self { process, address })
    }

    /// Has its client ask.
    pub(crate) fn go(&mut self) -> Result<()> {
        self.process.say("go")?;
        self.process.stdout.until(|line| line == "done", PATIENCE).map(drop)
    }

    /// Ends it: each connection that its server had, and the IDs of its client's requests.
    fn finish(mut self) -> Result<(Vec<Connection>, BTreeSet<String>)> {
        self.process.close_input();
        ensure!(self.process.wait(PATIENCE)?.success(), "the target failed");
        reference::parse(self.process.stdout.all(PATIENCE))
    }
}

fn attached() -> Result<()> {
    attach_to(&paths::heads()?, &[])
}

/// As on kernels that cannot attach all hooks of a program at once.
fn one_by_one() -> Result<()> {
    attach_to(&paths::heads()?, &["--one-by-one"])
}

/// Without a hook in the C library: as with libraries that make all calls in one function.
fn tracepoints() -> Result<()> {
    attach_to(&paths::heads()?, &["--http-by", "tracepoints"])
}

/// Nothing but the C library's functions is needed.
fn stripped() -> Result<()> {
    let scratch = Scratch::new()?;
    let binary = scratch.file("heads-stripped");
    let made = Command::new("strip").arg("-o").arg(&binary).arg(paths::heads()?).status().context("strip")?;
    ensure!(made.success(), "strip failed");
    attach_to(&binary, &[])
}

fn attach_to(binary: &Path, options: &[&str]) -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("heads.ascope");
    let mut target = Heads::start(&mut Command::new(binary))?;
    let agent = attach(&target, &record, options)?;
    client::ask(&target.address)?;
    target.go()?;
    agent.interrupt()?;
    let (connections, sent) = target.finish()?;
    judge(&Seen::read(&record)?, &connections, &sent)
}

/// From the first instruction on, before the C library is loaded.
fn run() -> Result<()> {
    run_with(&[])
}

fn run_with_tracepoints() -> Result<()> {
    run_with(&["--http-by", "tracepoints"])
}

fn run_with(options: &[&str]) -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("heads.ascope");
    let heads = paths::heads()?;
    let args = ["run".as_ref(), "--record".as_ref(), record.as_os_str()];
    let options = options.iter().map(OsStr::new);
    let command = ["--".as_ref(), heads.as_os_str()];
    let agent = Agent::start(args.into_iter().chain(options).chain(command))?;
    let mut target = Heads::of(agent.process)?;
    client::ask(&target.address)?;
    target.go()?;
    let (connections, sent) = target.finish()?;
    judge(&Seen::read(&record)?, &connections, &sent)
}

/// Connections that were there before the attach are believed after one exchange that is not reported.
fn from_before() -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("heads.ascope");
    let mut target = Heads::start(&mut Command::new(paths::heads()?))?;
    let mut client = client::KeepAlive::connect(&target.address)?;
    client.ask("before")?;
    target.go()?;
    let agent = attach(&target, &record, &[])?;
    for path in ["trial", "first", "second", "last"] {
        client.ask(path)?;
    }
    // A client may have its response before the hook behind the write was passed: of the last one nothing is said.
    agent.interrupt()?;
    let (connections, _) = target.finish()?;
    let seen = Seen::read(&record)?;
    let of_client = connections.first().context("no connection")?;
    let reported =
        seen.connections.iter().find(|reported| reported.descriptor == of_client.descriptor).context("not reported")?;
    let (read, written) = (&of_client.read[2..], &of_client.written[2..]);
    ensure!(reported.read == read, "read {read:?}, reported {:?}", reported.read);
    let certain = reported.written.len() + 1 >= written.len() && written.starts_with(&reported.written);
    ensure!(certain, "written {written:?}, reported {:?}", reported.written);
    Ok(())
}

/// A connection that begins as TLS does is counted, and nothing is reported of it.
fn encrypted() -> Result<()> {
    const HELLO: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\r\n\r\n";
    let scratch = Scratch::new()?;
    let record = scratch.file("heads.ascope");
    let target = Heads::start(&mut Command::new(paths::heads()?))?;
    let agent = attach(&target, &record, &[])?;
    client::converse(&target.address, &[HELLO])?;
    client::converse(&target.address, &[HELLO])?;
    agent.interrupt()?;
    let seen = Seen::read(&record)?;
    ensure!(seen.connections.is_empty(), "reported: {:?}", seen.connections);
    let count = seen.loss.iter().find(|lost| lost.why == "encrypted").map(|lost| lost.count);
    ensure!(count == Some(2), "lost: {:?}", seen.loss);
    let said = agent::run(["report", &record.to_string_lossy()])?.stdout.join("\n");
    ensure!(said.contains("no events lost\n2 connections are encrypted"), "{said}");
    Ok(())
}

pub(crate) fn attach(target: &Heads, record: &Path, options: &[&str]) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    let args = ["attach".as_ref(), pid.as_ref(), "--record".as_ref(), record.as_os_str()];
    let mut agent = Agent::start(args.into_iter().chain(options.iter().map(OsStr::new)))?;
    agent.armed()?;
    Ok(agent)
}

/// What a recording reports of connections.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    connections: Vec<Reported>,
    gaps: u64,
    loss: Vec<NotSeen>,
}

/// One connection: from its first message until it was closed.
#[derive(Debug, Default)]
struct Reported {
    descriptor: u64,
    read: Vec<Head>,
    written: Vec<Head>,
    lost: bool,
    left: bool,
}

impl Reported {
    fn is_servers(&self) -> bool {
        matches!(self.read.first(), Some(Head::Request { .. }))
    }
}

impl Seen {
    pub(crate) fn read(record: &Path) -> Result<Self> {
        let mut seen = Self::default();
        let mut open: BTreeMap<u64, usize> = BTreeMap::new();
        let file = BufReader::new(File::open(record)?);
        let recording = asyncscope_trace::recording::read(file, &mut |event| seen.take(&event, &mut open))?;
        ensure!(recording.damage.is_none(), "damaged: {:?}", recording.damage);
        seen.loss = recording.loss;
        Ok(seen)
    }

    fn take(&mut self, event: &Event, open: &mut BTreeMap<u64, usize>) {
        match &event.what {
            What::Message(message) if message.connection.source == Source::Descriptor => {
                let descriptor = message.connection.key;
                let next = self.connections.len();
                let at = *open.entry(descriptor).or_insert(next);
                if at == next {
                    self.connections.push(Reported { descriptor, ..Reported::default() });
                }
                let Some(reported) = self.connections.get_mut(at) else { return };
                if message.written { &mut reported.written } else { &mut reported.read }.push(head(message));
            }
            What::Gap { .. } => self.gaps += 1,
            What::Stream { connection, change } if connection.source == Source::Descriptor => {
                let reported = open.get(&connection.key).and_then(|&at| self.connections.get_mut(at));
                match (reported, change) {
                    (Some(reported), Change::Lost) => reported.lost = true,
                    (Some(reported), Change::Left) => reported.left = true,
                    (_, Change::Closed) => drop(open.remove(&connection.key)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn head(message: &Message) -> Head {
    let values = message.values.iter().map(|value| (value.name, value.bytes.clone())).collect();
    match &message.start {
        Start::Request { method, path, .. } => {
            Head::Request { method: String::from_utf8_lossy(method).into_owned(), path: path.clone(), values }
        }
        Start::Response { status } => Head::Response { status: *status, values },
        Start::Trailers => Head::Response { status: 0, values },
    }
}

/// The server's connections are reported head by head, and the client's wrote exactly what it sent.
fn judge(seen: &Seen, connections: &[Connection], sent: &BTreeSet<String>) -> Result<()> {
    if let Some(NotSeen { count, .. }) = seen.loss.iter().find(|lost| lost.why == "calls-left-out") {
        eprintln!("{count} system calls were left out by the kernel");
        return nothing_made_up(seen, connections);
    }
    let expected: Vec<&Connection> = connections.iter().filter(|connection| !connection.read.is_empty()).collect();
    let mut reported: Vec<&Reported> = seen.connections.iter().filter(|reported| reported.is_servers()).collect();
    let heads: usize = expected.iter().map(|connection| connection.read.len() + connection.written.len()).sum();
    for connection in &expected {
        let Some(at) = reported.iter().position(|reported| reported.descriptor == connection.descriptor) else {
            bail!("nothing is reported of a connection: {connection:?}");
        };
        let reported = reported.remove(at);
        ensure!(reported.read == connection.read, "read {:#?}, reported {reported:#?}", connection.read);
        // What is written after something malformed was read is not seen.
        let same = if connection.malformed {
            connection.written.starts_with(&reported.written)
        } else {
            reported.written == connection.written
        };
        ensure!(same, "written {:#?}, reported {reported:#?}", connection.written);
        ensure!(reported.lost == connection.malformed, "malformed: {}, lost: {}", connection.malformed, reported.lost);
        ensure!(reported.left == connection.left, "left: {}, reported {}", connection.left, reported.left);
    }
    ensure!(reported.is_empty(), "made up: {reported:?}");
    let client: Vec<String> = seen
        .connections
        .iter()
        .filter(|reported| !reported.is_servers())
        .flat_map(|reported| ids(&reported.written))
        .collect();
    ensure!(client.len() == sent.len() && sent.iter().eq(&BTreeSet::from_iter(client)), "the client sent {sent:?}");
    ensure!(heads > 2 * sent.len() && sent.len() >= 200, "only {heads} heads");
    eprintln!("{} connections, {heads} heads, {} requests sent; lost: {:?}", expected.len(), sent.len(), seen.loss);
    Ok(())
}

/// Where the kernel did not show all system calls, that is reported as a gap, and what is reported was there.
fn nothing_made_up(seen: &Seen, connections: &[Connection]) -> Result<()> {
    ensure!(seen.gaps > 0, "no gap is reported for what is missing");
    let reported: Vec<&Reported> = seen.connections.iter().filter(|reported| reported.is_servers()).collect();
    ensure!(!reported.is_empty(), "nothing is reported at all");
    for reported in reported {
        let true_ones = || connections.iter().filter(|connection| connection.descriptor == reported.descriptor);
        let read = reported.read.iter().find(|head| !true_ones().any(|connection| connection.read.contains(head)));
        let written =
            reported.written.iter().find(|head| !true_ones().any(|connection| connection.written.contains(head)));
        ensure!(read.is_none() && written.is_none(), "made up: {read:?}, {written:?}");
    }
    Ok(())
}

/// The values of the requests' `x-request-id`, the third of the default list.
fn ids(heads: &[Head]) -> Vec<String> {
    const REQUEST_ID: u8 = 2;
    let values = heads.iter().filter_map(|head| match head {
        Head::Request { values, .. } => Some(values),
        Head::Response { .. } => None,
    });
    let ids = values.flatten().filter(|(name, _)| *name == REQUEST_ID);
    ids.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}
