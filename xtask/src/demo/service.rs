//! The demo service and its load, as processes that do not outlive the demo.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::process::root;

/// A child that is killed where the demo ends early.
#[derive(Debug)]
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// The running service.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
    pages: SocketAddr,
    profile: &'static str,
}

/// The running load.
#[derive(Debug)]
pub(crate) struct Load(Process);

#[derive(Deserialize)]
struct Listening {
    pages: SocketAddr,
}

impl Service {
    /// Starts the one that was built with this profile, and waits until it listens.
    pub(crate) fn start(profile: &'static str, truth: &Path) -> Result<Self> {
        let mut process = Process::start(demo_service(profile).arg("serve").arg("--truth").arg(truth))?;
        let line = process.lines.next().context("the demo service ended before it listened")??;
        let json = line.strip_prefix("listening ").context("the demo service does not say where it listens")?;
        let Listening { pages } = serde_json::from_str(json)?;
        Ok(Self { process, pages, profile })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Starts to load it.
    pub(crate) fn load(&self, time: Duration) -> Result<Load> {
        let (addr, seconds) = (self.pages.to_string(), time.as_secs().to_string());
        let load = ["load", "--addr", &addr, "--seconds", &seconds, "--concurrency", "8"];
        Ok(Load(Process::start(demo_service(self.profile).args(load))?))
    }

    /// Ends it by SIGTERM; the truth it tells.
    pub(crate) fn stop(self) -> Result<Vec<String>> {
        let pid = i32::try_from(self.pid())?;
        // SAFETY: sends a signal to a child of ours that has not been waited for: no other process
        // can have its id.
        let sent = unsafe { libc::kill(pid, libc::SIGTERM) };
        ensure!(sent == 0, "the demo service cannot be ended");
        self.process.finish("the demo service")
    }
}

impl Load {
    /// Waits for its end; what it says of itself.
    pub(crate) fn end(self) -> Result<String> {
        Ok(self.0.finish("the load")?.join(" "))
    }
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the demo service could not be started")?;
        let stdout = child.stdout.take().context("the demo service has no output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// Its remaining output.
    fn finish(mut self, name: &str) -> Result<Vec<String>> {
        let lines = self.lines.by_ref().collect::<std::io::Result<_>>()?;
        let status: ExitStatus = self.child.wait()?;
        ensure!(status.success(), "{name} failed: {status}");
        Ok(lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail where it has ended and been waited for, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn demo_service(profile: &str) -> Command {
    Command::new(root().join("target").join(profile).join("demo-service"))
}
