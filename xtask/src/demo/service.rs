//! The demo service and its load, as processes that do not outlive the demo.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::json_lines;
use asyncscope_tests::process::Running;
use serde::Deserialize;

use crate::process::root;

/// Within this the service listens, and ends.
const PATIENCE: Duration = Duration::from_mins(1);

/// The running service.
#[derive(Debug)]
pub(crate) struct Service {
    process: Running,
    pages: SocketAddr,
    profile: &'static str,
}

/// The running load.
#[derive(Debug)]
pub(crate) struct Load {
    process: Running,
    time: Duration,
}

/// The begin of the line in which the service says where it listens.
const LISTENING: &str = "listening ";

#[derive(Deserialize)]
struct Listening {
    pages: SocketAddr,
}

impl Service {
    /// Starts the one that was built with this profile, and waits until it listens.
    pub(crate) fn start(profile: &'static str, truth: &Path) -> Result<Self> {
        let mut process = Running::start(demo_service(profile).arg("serve").arg("--truth").arg(truth))?;
        let line = process.stdout.until(|line| line.starts_with(LISTENING), PATIENCE);
        let line = line.context("the demo service does not say where it listens")?;
        let Listening { pages } = json_lines::line_of(&line[LISTENING.len()..])?;
        Ok(Self { process, pages, profile })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Starts to load it.
    pub(crate) fn load(&self, time: Duration) -> Result<Load> {
        let (addr, seconds) = (self.pages.to_string(), time.as_secs().to_string());
        let load = ["load", "--addr", &addr, "--seconds", &seconds, "--concurrency", "8"];
        Ok(Load { process: Running::start(demo_service(self.profile).args(load))?, time })
    }

    /// Ends it by SIGTERM; the truth it says.
    pub(crate) fn stop(mut self) -> Result<Vec<String>> {
        self.process.signal(libc::SIGTERM)?;
        finish(self.process, "the demo service", PATIENCE)
    }
}

impl Load {
    /// Waits for its end; what it says of itself.
    pub(crate) fn end(self) -> Result<String> {
        Ok(finish(self.process, "the load", self.time + PATIENCE)?.join(" "))
    }
}

/// Waits for a process's end; its output, but for where it listens.
fn finish(mut process: Running, name: &str, timeout: Duration) -> Result<Vec<String>> {
    let status = process.wait(timeout)?;
    ensure!(status.success(), "{name} failed: {status}: {:?}", process.stderr.all(PATIENCE));
    let lines = process.stdout.all(PATIENCE).iter().filter(|line| !line.starts_with(LISTENING));
    Ok(lines.cloned().collect())
}

fn demo_service(profile: &str) -> Command {
    Command::new(root().join("target").join(profile).join("demo-service"))
}
