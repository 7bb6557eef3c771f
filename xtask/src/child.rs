//! Processes that do not outlive the chore.

use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A child that is killed where it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts it without input.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("{name} could not be started"))?;
        Ok(Self(child))
    }

    /// Starts it with both pipes in our hands.
    pub(crate) fn start_piped(command: &mut Command) -> Result<(Self, ChildStdin, ChildStdout)> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = Self(child.with_context(|| format!("{name} could not be started"))?);
        let pipes = child.0.stdin.take().zip(child.0.stdout.take());
        let (stdin, stdout) = pipes.with_context(|| format!("{name} has no pipes"))?;
        Ok((child, stdin, stdout))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it as Ctrl-C does, and waits for it.
    pub(crate) fn interrupt(mut self) -> Result<ExitStatus> {
        // SAFETY: sends a signal to a child of ours that has not been waited for: no other process can
        // have its id.
        unsafe { libc::kill(self.0.id().cast_signed(), libc::SIGINT) };
        Ok(self.0.wait()?)
    }

    /// Waits until something has come true.
    ///
    /// # Errors
    /// Where that takes longer than `at_most`, or the child ends before.
    pub(crate) fn until<T>(&mut self, what: &str, at_most: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("it ended ({status}) before {what}");
            }
            if start.elapsed() > at_most {
                bail!("{what}: not within {at_most:?}");
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
