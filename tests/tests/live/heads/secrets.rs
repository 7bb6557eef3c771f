//! Nothing but what was asked for leaves the target.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::{agent, memory};
use asyncscope_trace::event::What;

use super::{Heads, PATIENCE, attach, client};
use crate::Test;

/// How often each place of a request holds a secret.
const REQUESTS: usize = 400;

pub(crate) fn test() -> (String, Test) {
    ("heads::secrets".to_owned(), Box::new(secrets))
}

fn secrets() -> Result<()> {
    // Made here, so that no binary contains it.
    let secret = ["marker", &std::process::id().to_string(), "of", "secrets"].join("-");
    let scratch = Scratch::new()?;
    let (record, json) = (scratch.file("heads.ascope"), scratch.file("heads.json"));
    let held = Held::new(&json)?;
    let target = Heads::start(&mut std::process::Command::new(paths::heads()?))?;
    let mut agent = attach(&target, &record, &["--redact", "--json", &json.to_string_lossy()])?;
    let known = record.to_string_lossy().into_owned();
    let body = secret.repeat(20);
    let head = format!(
        "POST /echo/known?token={secret} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\ncookie: a={secret}\r\nx-request-id: {ID}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    for _ in 0..REQUESTS {
        let answer = client::converse(&target.address, &[head.as_bytes(), body.as_bytes()])?;
        ensure!(answer.windows(secret.len()).any(|window| window == secret.as_bytes()), "not echoed");
    }
    until_recorded(&record, REQUESTS)?;
    let after_the_last = memory::without(&mut agent.process, secret.as_bytes(), known.as_bytes())?;
    agent.process.signal(libc::SIGINT)?;
    let before_exit =
        held.until_written(|| memory::without(&mut agent.process, secret.as_bytes(), known.as_bytes()))?;
    let json = held.rest(|| agent.succeed().map(drop))?;
    target.finish()?;
    let report = agent::run(["report", &record.to_string_lossy()])?;
    let outputs = [json, fs::read(&record)?, unpacked(&record)?, report.stdout.concat().into_bytes()];
    for marker in [secret.as_bytes(), ID.as_bytes()] {
        let found = outputs.iter().any(|output| output.windows(marker.len()).any(|window| window == marker));
        ensure!(!found, "{} is in an output", String::from_utf8_lossy(marker));
    }
    eprintln!(
        "heads::secrets: {after_the_last} and, before its exit, {before_exit} bytes of the agent's memory hold none"
    );
    Ok(())
}

/// An ID that may be captured, and is replaced by its hash.
const ID: &str = "known-by-its-hash-only";

/// Waits until as many responses are in the recording: the agent has seen the last event then.
fn until_recorded(record: &Path, responses: usize) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut seen = 0;
        asyncscope_trace::recording::read(File::open(record)?, &mut |event| {
            seen += usize::from(matches!(&event.what, What::Message(message) if message.written));
        })?;
        if seen >= responses {
            return Ok(());
        }
        ensure!(Instant::now() < end, "only {seen} responses were recorded");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All bytes that the events of a recording hold, which is compressed.
fn unpacked(record: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    asyncscope_trace::recording::read(File::open(record)?, &mut |event| {
        asyncscope_trace::event::encode::encode(&event, &mut all)
    })?;
    Ok(all)
}

/// A pipe with a name, into which the agent writes its last output: nobody reads it at first, so the agent
/// stands still in the midst of it.
struct Held(File);

impl Held {
    fn new(path: &Path) -> Result<Self> {
        let made = Command::new("mkfifo").arg(path).status().context("mkfifo")?;
        ensure!(made.success(), "mkfifo failed");
        // A writer, too, so that whoever opens it does not wait.
        let options = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        Ok(Self(options))
    }

    /// Waits until something was written, and does this while the writer waits.
    fn until_written<T>(&self, then: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: it is given one live structure.
        let ready = unsafe { libc::poll(&raw mut poll, 1, PATIENCE.as_millis() as i32) };
        ensure!(ready == 1, "the agent writes nothing");
        then()
    }

    /// Everything that is written until the writer has exited, which `exit` waits for.
    fn rest(mut self, exit: impl FnOnce() -> Result<()>) -> Result<Vec<u8>> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| self.read_until(&over));
            let exited = exit();
            over.store(true, Ordering::Release);
            let read = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
            exited.and(read)
        })
    }

    fn read_until(&mut self, over: &AtomicBool) -> Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), [0; 1 << 16]);
        loop {
            let was_over = over.load(Ordering::Acquire);
            match self.0.read(&mut buffer) {
                Ok(len) => all.extend(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if was_over => return Ok(all),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}
