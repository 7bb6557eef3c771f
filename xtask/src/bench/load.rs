//! The load, as a process.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::build::{load_program, sink_program};
use super::cpus::Half;
use crate::child::Running;

/// Connections that are kept from stretch to stretch.
#[derive(Debug)]
pub(super) struct Load {
    _running: Running,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What takes spans and keeps none.
#[derive(Debug)]
pub(super) struct Sink {
    _running: Running,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Where it listens, as a URL.
    pub(super) url: String,
}

impl Sink {
    /// Starts it.
    pub(super) fn start() -> Result<Self> {
        let (running, stdin, stdout) = Running::start_piped(&mut Half::Rest.command(sink_program()))?;
        let mut lines = BufReader::new(stdout).lines();
        let address = lines.next().context("what takes spans ended early")??;
        Ok(Self { _running: running, stdin, lines, url: format!("http://{address}") })
    }

    /// How many bytes of spans have come.
    pub(super) fn bytes(&mut self) -> Result<u64> {
        writeln!(self.stdin)?;
        Ok(self.lines.next().context("what takes spans has ended")??.parse()?)
    }
}

/// What came of a stretch.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
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
        let (running, stdin, stdout) = Running::start_piped(&mut command)?;
        Ok(Self { _running: running, stdin, lines: BufReader::new(stdout).lines() })
    }

    /// Has all connections ask for so long.
    pub(super) fn stretch(&mut self, time: Duration) -> Result<Told> {
        writeln!(self.stdin, "{}", time.as_millis()).context("the load has ended")?;
        let line = self.lines.next().context("the load ended early")??;
        serde_json::from_str(&line).context("the load tells something else")
    }
}
