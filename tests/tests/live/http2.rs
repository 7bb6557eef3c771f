//! HTTP/2: every head of every stream, on both sides of many connections.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::http2::{Exchanges, Recorded, printed};
use asyncscope_tests::memory;
use asyncscope_tests::paths::{self, Build, Scratch};
use asyncscope_tests::process::Running;

use crate::Test;

const PATIENCE: Duration = Duration::from_secs(120);
/// Stands in queries, bodies and values that are not recorded.
const SECRET: &[u8] = b"MARKER-b1946ac9";

pub(crate) fn tests() -> Vec<(String, Test)> {
    let test = |name: &str, build: Build| {
        let test: Test = Box::new(move || both_sides(build));
        (format!("http2::{name}"), test)
    };
    let stripped: Test = Box::new(stripped);
    vec![
        test("release", Build::Release),
        test("fat_lto", Build::FatLto),
        ("http2::stripped_is_reported".to_owned(), stripped),
    ]
}

/// Without symbols nothing is seen, and `inspect` says so.
fn stripped() -> Result<()> {
    let inspected = agent::run(["inspect".as_ref(), paths::http2(Build::Stripped)?.as_os_str()])?;
    let reported = |line: &String| line.contains("no symbols of h2: HTTP/2 heads are not seen");
    ensure!(inspected.stdout.iter().any(reported), "{:?}", inspected.stdout);
    Ok(())
}

fn both_sides(build: Build) -> Result<()> {
    let binary = paths::http2(build)?;
    let scratch = Scratch::new()?;
    let mut server = Running::start(Command::new(&binary).arg("server"))?;
    let ready = server.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
    let port = ready.split(' ').nth(1).context("no port")?;
    let mut client = Running::start(Command::new(&binary).args(["client", port]))?;
    client.stdout.until(|line| line == "ready", PATIENCE)?;
    let attach = |process: &Running, file: &str| -> Result<Agent> {
        let recording = scratch.file(file).into_os_string();
        let mut agent =
            Agent::start(["attach".into(), process.pid().to_string().into(), "--record".into(), recording])?;
        agent.armed()?;
        Ok(agent)
    };
    let agents = [attach(&server, "server.ascope")?, attach(&client, "client.ascope")?];
    client.say("go")?;
    client.stdout.until(|line| line == "done", PATIENCE)?;
    server.say("stop")?;
    server.stdout.until(|line| line == "done", PATIENCE)?;
    for (mut agent, file) in agents.into_iter().zip(["server.ascope", "client.ascope"]) {
        // The streams are over, and the agent has not yet let go of what it holds of them.
        let scanned = memory::without(&mut agent.process, SECRET, scratch.file(file).as_os_str().as_encoded_bytes())?;
        eprintln!("http2 {build:?}: {scanned} bytes of the agent's memory hold no secret");
        agent.interrupt()?;
    }
    let served = recorded(&scratch, "server.ascope", &finish(server)?)?;
    let asked = recorded(&scratch, "client.ascope", &finish(client)?)?;
    ensure!(served == asked, "the two sides differ in the streams of exchanges");
    eprintln!("http2 {build:?}: {} exchanges, as both sides lived them", asked.len());
    Ok(())
}

fn finish(mut process: Running) -> Result<Exchanges> {
    process.close_input();
    let status = process.wait(PATIENCE)?;
    ensure!(status.success(), "a program ended with {status}");
    printed(process.stdout.all(PATIENCE))
}

/// The streams by exchange, all as printed.
fn recorded(scratch: &Scratch, file: &str, printed: &Exchanges) -> Result<std::collections::BTreeMap<String, u32>> {
    let path = scratch.file(file);
    let bytes = fs::read(&path)?;
    ensure!(!bytes.windows(SECRET.len()).any(|window| window == SECRET), "{file} holds what nobody asked for");
    let recorded = Recorded::read(&path)?;
    ensure!(recorded.lost.is_empty(), "{file}: lost {:?}", recorded.lost);
    let streams = recorded.compare(printed).with_context(|| file.to_owned())?;
    ensure!(streams.values().all(|stream| stream % 2 == 1), "a stream that a server opened");
    Ok(streams)
}
