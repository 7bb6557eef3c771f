//! A command started for `run`, held at its first instruction until the hooks are armed.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// The command's process.
#[derive(Debug)]
pub(super) struct HeldCommand(Child);

/// Starts the command; it has not run any of its own instructions when this returns.
pub(super) fn start(command: &[String]) -> Result<HeldCommand> {
    let (program, arguments) = command.split_first().ok_or_else(|| anyhow!("no command given"))?;
    let mut builder = Command::new(program);
    builder.args(arguments);
    let traced = || ptrace::traceme().map_err(std::io::Error::from);
    // SAFETY: between fork and exec the child only makes one system call.
    unsafe { builder.pre_exec(traced) };
    let child = builder.spawn().with_context(|| format!("cannot start {}", program.escape_debug()))?;
    let held = HeldCommand(child);
    // https://man7.org/linux/man-pages/man2/ptrace.2.html: exec stops a traced process with SIGTRAP.
    match waitpid(held.pid(), None).context("cannot wait for the command to start")? {
        WaitStatus::Stopped(_, Signal::SIGTRAP) => Ok(held),
        other => bail!("the command did not start: {other:?}"),
    }
}

impl HeldCommand {
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }

    /// Lets it run, untraced.
    pub(super) fn let_go(&self) -> Result<()> {
        ptrace::detach(self.pid(), None).context("cannot let the command run")
    }

    /// Ends it where it cannot be watched.
    pub(super) fn end(&mut self) {
        // It may have ended by itself, which is as well.
        drop(self.0.kill());
        drop(self.0.wait());
    }

    /// Takes its exit status, if it has ended; a command that goes on is left to do so.
    pub(super) fn reap(&mut self) {
        drop(self.0.try_wait());
    }
}
