//! A child process that does not outlive us, with a bound on every wait; its output is read line by line, or goes
//! elsewhere.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The number of times longer than elsewhere that everything may take here: `ASYNCSCOPE_PATIENCE`, or once. A machine
/// that another one imitates is slow.
static PATIENCE: LazyLock<u32> = LazyLock::new(|| {
    let given = std::env::var("ASYNCSCOPE_PATIENCE").ok().and_then(|times| times.parse().ok());
    given.unwrap_or(1)
});

/// The time between looks for something that does not say when it is there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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

    /// Returns lines of which none is read here.
    fn none() -> Self {
        let (_, incoming) = channel();
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

    /// Returns what was read until now.
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

    /// Starts a command without input, whose output goes where the command says: nothing is read here.
    ///
    /// # Errors
    ///
    /// If the command cannot be started.
    pub fn start_unread(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child, stdin: None, stdout: Lines::none(), stderr: Lines::none() })
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

    /// Writes a line to its standard input, and returns the next one of its standard output.
    ///
    /// # Errors
    ///
    /// If it does not answer within `timeout`, with the last lines of its standard error.
    pub fn ask(&mut self, line: &str, timeout: Duration) -> Result<String> {
        let answer = self.say(line).and_then(|()| self.stdout.until(|_| true, timeout));
        answer.with_context(|| format!("it does not answer {line:?}: {:?}", self.stderr.all(Duration::ZERO)))
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

    /// Returns whether it is still running.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Looks again and again until something is there, and returns it.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`, or the child ends before.
    pub fn until<T>(&mut self, what: &str, timeout: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        let timeout = timeout * *PATIENCE;
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}) before {what}");
            }
            if start.elapsed() > timeout {
                bail!("{what}: not within {timeout:?}");
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends it as Ctrl-C does, and waits for its exit.
    ///
    /// # Errors
    ///
    /// If it has exited already, or does not exit within `timeout`.
    pub fn interrupt(mut self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(libc::SIGINT)?;
        self.wait(timeout)
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
        // An error means that it has exited already; there is nobody left to report to.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_mins(1);

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn answers() {
        let mut echo =
            Running::start(&mut shell("while read line; do echo \"got $line\"; done; echo over >&2")).unwrap();
        assert_eq!(echo.ask("a", SOON).unwrap(), "got a");
        assert_eq!(echo.ask("b", SOON).unwrap(), "got b");
        echo.close_input();
        assert!(echo.wait(SOON).unwrap().success());
        assert_eq!(echo.stderr.all(SOON), ["over"]);
    }

    #[test]
    fn an_end_is_noticed_while_it_is_looked() {
        let mut short = Running::start_unread(&mut shell("exit 3")).unwrap();
        let error = short.until("it was there", SOON, || None::<()>).unwrap_err();
        assert!(error.to_string().contains("before it was there"), "{error}");
        let mut long = Running::start_unread(&mut shell("exec sleep 60")).unwrap();
        assert_eq!(long.until("it was there", SOON, || Some(7)).unwrap(), 7);
        assert!(long.stdout.until(|_| true, SOON).is_err());
        // Not interrupted: whoever runs these tests in the background may have had that ignored, for children as well.
        long.signal(libc::SIGKILL).unwrap();
        assert_eq!(long.wait(SOON).unwrap().code(), None);
    }
}
