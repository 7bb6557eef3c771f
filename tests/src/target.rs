//! A target at its start signals.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::paths;
use crate::process::Running;
use crate::truth::Truth;

/// Under hooks, and on a busy machine, a scenario takes much longer than by itself.
const PATIENCE: Duration = Duration::from_mins(2);

/// A target that waits for its signals.
#[derive(Debug)]
pub struct Target {
    /// The process.
    pub process: Running,
}

impl Target {
    /// Starts a scenario and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be built or started, or does not get ready.
    pub fn start(scenario: &str) -> Result<Self> {
        Self::start_as(&paths::truth()?, scenario)
    }

    /// Starts a scenario from a copy of the binary, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not get ready.
    pub fn start_as(binary: &Path, scenario: &str) -> Result<Self> {
        Self::start_command(Command::new(binary).arg(scenario), scenario)
    }

    /// Starts a scenario by a command that becomes the target, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or does not get ready.
    pub fn start_command(command: &mut Command, scenario: &str) -> Result<Self> {
        let mut process = Running::start(command)?;
        let ready = process.stdout.until(|line| line.starts_with("ready "), PATIENCE);
        ready.with_context(|| format!("{scenario} does not get ready"))?;
        Ok(Self { process })
    }

    /// Gives the next signal: to start or, where a scenario waits for one, to stop.
    ///
    /// # Errors
    ///
    /// If it has exited.
    pub fn go(&mut self) -> Result<()> {
        self.process.say("go")
    }

    /// Waits until it is done, which it stays until [`Target::finish`].
    ///
    /// # Errors
    ///
    /// If it ends otherwise or takes too long.
    pub fn done(&mut self) -> Result<()> {
        self.process.stdout.until(|line| line == "done", PATIENCE).map(drop).context("the target is not done")
    }

    /// Lets it exit and returns the truth it lived.
    ///
    /// # Errors
    ///
    /// If it does not exit 0 by itself or contradicts itself.
    pub fn finish(mut self) -> Result<Truth> {
        self.process.close_input();
        let status = self.process.wait(PATIENCE)?;
        ensure!(status.success(), "the target ended with {status}");
        Truth::parse(self.process.stdout.all(PATIENCE))
    }
}
