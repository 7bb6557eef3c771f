//! The agent, run as a user runs it.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::paths;
use crate::process::Running;

/// Arming is fast; symbols of a big target on a busy machine are not.
const ARMED_WITHIN: Duration = Duration::from_secs(30);
/// Writing every output of a storm takes a while.
const EXIT_WITHIN: Duration = Duration::from_mins(3);

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub process: Running,
}

/// The end of an agent.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: Vec<String>,
    /// All of its standard error.
    pub stderr: Vec<String>,
}

impl Agent {
    /// Starts `asyncscope` with these arguments.
    ///
    /// # Errors
    ///
    /// If it cannot be built or started.
    pub fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        Self::start_with(&[], args)
    }

    /// Starts `asyncscope` with these environment variables and arguments.
    ///
    /// # Errors
    ///
    /// As [`Agent::start`].
    pub fn start_with<A: AsRef<OsStr>>(variables: &[(&str, &str)], args: impl IntoIterator<Item = A>) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command.args(args).envs(variables.iter().copied());
        Ok(Self { process: Running::start(&mut command)? })
    }

    /// Waits until it says that its hooks are armed.
    ///
    /// # Errors
    ///
    /// If it does not say so in time.
    pub fn armed(&mut self) -> Result<()> {
        let line = self.process.stderr.until(|line| line.contains("armed"), ARMED_WITHIN);
        line.map(drop).context("the agent is not armed")
    }

    /// Interrupts it, as Ctrl-C does, and waits for its exit.
    ///
    /// # Errors
    ///
    /// If it has exited already, or does not exit 0.
    pub fn interrupt(mut self) -> Result<Ended> {
        self.process.signal(libc::SIGINT).context("the agent cannot be interrupted")?;
        self.succeed()
    }

    /// Waits for its exit, which must be 0.
    ///
    /// # Errors
    ///
    /// If it does not exit 0 in time.
    pub fn succeed(self) -> Result<Ended> {
        let ended = self.exit()?;
        ensure!(ended.code == Some(0), "the agent ended with {:?}: {:?}", ended.code, ended.stderr);
        Ok(ended)
    }

    /// Waits for its exit, whatever the code.
    ///
    /// # Errors
    ///
    /// If it does not exit in time.
    pub fn exit(mut self) -> Result<Ended> {
        self.process.close_input();
        let status = self.process.wait(EXIT_WITHIN)?;
        let all = |lines: &mut crate::process::Lines| lines.all(EXIT_WITHIN).to_vec();
        let (stdout, stderr) = (all(&mut self.process.stdout), all(&mut self.process.stderr));
        Ok(Ended { code: status.code(), stdout, stderr })
    }
}

/// Runs `asyncscope` with these arguments to its end.
///
/// # Errors
///
/// If it cannot be started, or does not exit in time.
pub fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Ended> {
    Agent::start(args)?.exit()
}
