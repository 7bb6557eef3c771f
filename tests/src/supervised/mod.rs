//! An agent on a kernel that lacks something: its system calls pass a supervisor, which answers those that need
//! what is taken away as a kernel without it does, and lets all others through.
//!
//! A filter alone sees no more than the numbers in registers; the supervisor reads what they point to.
//! <https://www.kernel.org/doc/html/v6.12/userspace-api/seccomp_filter.html#userspace-notification>

mod filter;
mod request;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::process::Command;
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, anyhow};

use crate::agent::{Agent, Ended};
use crate::process::Running;
use filter::LISTENER;
use request::Request;

/// A feature of the kernel that is asked for, and can be taken away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// A type of eBPF maps, by its number.
    Map(u32),
    /// A type of eBPF programs, by its number.
    Program(u32),
    /// A function of the kernel's that eBPF programs call, by its number.
    Helper(u32),
    /// Programs whose hooks are attached together.
    Multi,
    /// Links that hold a program and the perf event that it is attached to.
    PerfLink,
    /// Types of eBPF programs.
    Btf,
    /// Raw tracepoints.
    RawTracepoint,
    /// A file of the kernel's.
    File(&'static str),
    /// The right to trace the target, with which its memory is read.
    Trace,
    /// A system call by its number, which gets this error.
    Call(i64, i32),
}

/// A running agent, and the thread that supervises it.
#[derive(Debug)]
pub struct Supervised {
    agent: Agent,
    supervisor: JoinHandle<io::Result<BTreeSet<Feature>>>,
}

impl Supervised {
    /// Starts it without a feature, or with all.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or not be supervised.
    pub fn start(command: &mut Command, without: Option<Feature>) -> Result<Self> {
        filter::put_before(command, without.as_ref());
        let agent = Agent { process: Running::start(command)? };
        let listener = listener(agent.process.pid()).context("cannot get at the listener")?;
        let supervisor = thread::spawn(move || supervise(&listener, without.as_ref()));
        Ok(Self { agent, supervisor })
    }

    /// Waits for its end, and says what it asked for.
    ///
    /// # Errors
    ///
    /// If it does not end in time, or the supervisor failed.
    pub fn exit(self) -> Result<(Ended, BTreeSet<Feature>)> {
        let ended = self.agent.exit()?;
        let asked = self.supervisor.join().map_err(|_| anyhow!("the supervisor panicked"))??;
        Ok((ended, asked))
    }
}

/// The agent keeps it open as well, and does not know.
fn listener(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call touches no memory of this process.
    let process = descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the same.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), LISTENER, 0) })
}

fn descriptor(result: i64) -> io::Result<OwnedFd> {
    let fd = i32::try_from(result).ok().filter(|&fd| fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel just gave this descriptor to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Answers until nobody is left to ask.
fn supervise(listener: &OwnedFd, without: Option<&Feature>) -> io::Result<BTreeSet<Feature>> {
    let mut asked = BTreeSet::new();
    while wait(listener)? {
        let Some((id, request)) = filter::receive(listener)? else { continue };
        let Request { number, needs, log } = request;
        let is_of_it = |without: &&Feature| matches!(without, Feature::Call(call, _) if *call == number);
        let refused = without.filter(|without| needs.contains(without) || is_of_it(without));
        match refused {
            Some(feature) => {
                log.inspect(|log| log.write(feature));
                filter::answer(listener, id, Some(feature.errno()))?;
            }
            None => filter::answer(listener, id, None)?,
        }
        asked.extend(needs);
    }
    Ok(asked)
}

impl Feature {
    /// Returns what a kernel without it answers.
    fn errno(&self) -> i32 {
        match self {
            Self::File(_) => libc::ENOENT,
            Self::Trace => libc::EPERM,
            Self::Call(_, errno) => *errno,
            _ => libc::EINVAL,
        }
    }
}

/// Returns whether there is something to answer; `false` once the agent has ended.
fn wait(listener: &OwnedFd) -> io::Result<bool> {
    loop {
        let mut wanted = libc::pollfd { fd: listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live entry, as stated.
        if unsafe { libc::poll(&raw mut wanted, 1, -1) } >= 0 {
            return Ok(wanted.revents & libc::POLLIN != 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
