//! A child process whose output is read line by line, with a bound on every wait.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How much longer than elsewhere everything may take here: `ASYNCSCOPE_PATIENCE`, or once as long. A machine that
/// another one imitates is slow.
static PATIENCE: LazyLock<u32> = LazyLock::new(|| {
    let given = std::env::var("ASYNCSCOPE_PATIENCE").ok().and_then(|times| times.parse().ok());
    given.unwrap_or(1)
});

/// The lines of a pipe, read by a thread of their own so that the child never blocks on it.
#[derive(Debug)]
pub struct Lines {
    incoming: Receiver<String>,
    read: Vec<String>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let (sender, incoming) = channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { incoming, read: Vec::new() }
    }

    /// Reads on until a line is as wanted, and returns it.
    ///
    /// # Errors
    ///
    /// At the end of the output, or after `timeout`, with the last lines read.
    pub fn until(&mut self, wanted: impl Fn(&str) -> bool, timeout: Duration) -> Result<String> {
        let timeout = timeout * *PATIENCE;
        let end = Instant::now() + timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(line) => self.read.push(line),
                Err(RecvTimeoutError::Timeout) => bail!("not within {timeout:?}; {}", self.tail()),
                Err(RecvTimeoutError::Disconnected) => bail!("not before its end; {}", self.tail()),
            }
            if let Some(line) = self.read.last().filter(|line| wanted(line)) {
                return Ok(line.clone());
            }
        }
    }

    /// What was read until now.
    #[must_use]
    pub fn read(&self) -> &[String] {
        &self.read
    }

    /// Everything read until now and, once the child has exited, everything there will be.
    pub fn all(&mut self, timeout: Duration) -> &[String] {
        // An `Err` is the usual end here: no line is wanted.
        let _end = self.until(|_| false, timeout);
        &self.read
    }

    fn tail(&self) -> String {
        let from = self.read.len().saturating_sub(10);
        format!("its last lines: {:?}", &self.read[from..])
    }
}

/// A running child; killed by its id if it is dropped before it has exited.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Its standard output.
    pub stdout: Lines,
    /// Its standard error.
    pub stderr: Lines,
}

impl Running {
    /// Starts a command with all three standard streams piped.
    ///
    /// # Errors
    ///
    /// If the command cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdout = Lines::of(child.stdout.take().context("no standard output")?);
        let stderr = Lines::of(child.stderr.take().context("no standard error")?);
        Ok(Self { stdin: child.stdin.take(), child, stdout, stderr })
    }

    /// Starts a command whose standard output and error are one Unix socket, as a service's may be. Both are read as
    /// its standard output.
    ///
    /// # Errors
    ///
    /// If there is no socket, or the command cannot be started.
    pub fn start_on_socket(command: &mut Command) -> Result<Self> {
        let (own, its) = UnixStream::pair()?;
        command.stdin(Stdio::piped()).stdout(OwnedFd::from(its.try_clone()?)).stderr(OwnedFd::from(its));
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()));
        // The command would hold the socket open beyond the child's end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child?;
        Ok(Self { stdin: child.stdin.take(), child, stdout: Lines::of(own), stderr: Lines::of(io::empty()) })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    ///
    /// If its input is closed.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its standard input is closed")?;
        writeln!(stdin, "{line}").context("it does not read its standard input")
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal, unless it was waited for already.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn signal(&mut self, signal: i32) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            bail!("it has exited already; {:?}", self.stderr.all(Duration::from_secs(1)));
        }
        let pid = i32::try_from(self.pid())?;
        // SAFETY: `kill` touches no memory of this process. The child is not reaped, so the id is its.
        if unsafe { libc::kill(pid, signal) } != 0 {
            bail!("cannot signal {pid}: {}", std::io::Error::last_os_error());
        }
        Ok(())
    }

    /// Whether it is still running.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its exit.
    ///
    /// # Errors
    ///
    /// If it has not exited after `timeout`, with the last lines of its standard error.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let timeout = timeout * *PATIENCE;
        let end = Instant::now() + timeout;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("pid {} has not exited within {timeout:?}; {:?}", self.pid(), self.stderr.all(Duration::ZERO))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has exited already; there is nobody left to tell.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}
