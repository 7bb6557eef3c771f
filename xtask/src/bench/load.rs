//! The load, as a process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use asyncscope_tests::json_lines;
use asyncscope_tests::process::Running;
use serde::Deserialize;

use super::build::{load_program, sink_program};
use super::cpus::Half;

/// The time that an answer may take longer than a stretch.
const ANSWER_MAX: Duration = Duration::from_mins(2);

/// Connections that are kept from stretch to stretch.
#[derive(Debug)]
pub(super) struct Load(Running);

/// A backend that takes spans and keeps none.
#[derive(Debug)]
pub(super) struct Sink {
    running: Running,
    /// Its address, as a URL.
    pub(super) url: String,
}

impl Sink {
    /// Starts it.
    pub(super) fn start() -> Result<Self> {
        let mut running = Running::start(&mut Half::Rest.command(sink_program()))?;
        let address = running.stdout.until(|_| true, ANSWER_MAX).context("what takes spans does not listen")?;
        Ok(Self { running, url: format!("http://{address}") })
    }

    /// Returns how many bytes of spans have come.
    pub(super) fn bytes(&mut self) -> Result<u64> {
        Ok(self.running.ask("", ANSWER_MAX).context("what takes spans")?.parse()?)
    }
}

/// The outcome of a stretch.
#[derive(Debug, Deserialize)]
pub(super) struct Reported {
    pub(super) requests: u64,
    pub(super) seconds: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// The body of an answer.
    pub(super) last: String,
}

impl Load {
    /// Connects.
    pub(super) fn start(to: SocketAddr, connections: u32, paths: &[String]) -> Result<Self> {
        let mut command = Half::Rest.command(load_program());
        command.args(["--addr", &to.to_string(), "--connections", &connections.to_string()]).args(paths);
        Ok(Self(Running::start(&mut command)?))
    }

    /// Has all connections ask for so long.
    pub(super) fn stretch(&mut self, time: Duration) -> Result<Reported> {
        let line = self.0.ask(&time.as_millis().to_string(), time + ANSWER_MAX).context("the load")?;
        json_lines::line_of(&line).context("the load")
    }
}
