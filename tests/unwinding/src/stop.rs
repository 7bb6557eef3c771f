//! Threads that are stopped for a moment, by ptrace.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use asyncscope_unwind::Registers;
use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The stop that was asked for.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/ptrace.h#L115>
const EVENT_STOP: i32 = 128;

/// A thread, as it stands.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) registers: Registers,
    /// What `%fs` holds.
    pub(crate) thread_pointer: u64,
}

/// The threads of a process, which the kernel lets go when this process ends.
#[derive(Debug)]
pub(crate) struct Threads {
    pid: u32,
    known: BTreeSet<i32>,
}

impl Threads {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, known: BTreeSet::new() }
    }

    /// Takes hold of threads that are new.
    ///
    /// # Errors
    ///
    /// The process is gone, or may not be traced.
    pub(crate) fn look_for_new(&mut self) -> Result<()> {
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid)).context("the program has ended")? {
            let tid: i32 = entry?.file_name().to_string_lossy().parse()?;
            if self.known.contains(&tid) {
                continue;
            }
            match ptrace::seize(Pid::from_raw(tid), ptrace::Options::empty()) {
                Ok(()) => {
                    self.known.insert(tid);
                }
                Err(Errno::ESRCH) => {}
                Err(error) => return Err(error).context("the program may not be traced"),
            }
        }
        Ok(())
    }

    /// Stops one thread after the other, shows it, and lets it go on.
    ///
    /// # Errors
    ///
    /// What the kernel refused.
    pub(crate) fn each(&mut self, mut show: impl FnMut(&Stopped)) -> Result<()> {
        let mut gone = Vec::new();
        for &tid in &self.known {
            match look_at(Pid::from_raw(tid), &mut show) {
                Ok(()) => {}
                Err(Errno::ESRCH | Errno::ECHILD) => gone.push(tid),
                Err(error) => return Err(error.into()),
            }
        }
        self.known.retain(|tid| !gone.contains(tid));
        Ok(())
    }
}

fn look_at(thread: Pid, show: &mut impl FnMut(&Stopped)) -> nix::Result<()> {
    ptrace::interrupt(thread)?;
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceEvent(_, _, EVENT_STOP) => break,
            // A signal of its own came first.
            WaitStatus::Stopped(_, signal) => ptrace::cont(thread, signal)?,
            WaitStatus::PtraceEvent(..) => ptrace::cont(thread, None::<Signal>)?,
            _ => return Err(Errno::ESRCH),
        }
    }
    let all = ptrace::getregs(thread)?;
    let registers =
        Registers { ip: all.rip, sp: all.rsp, bp: all.rbp, bx: all.rbx, r: [all.r12, all.r13, all.r14, all.r15] };
    show(&Stopped { registers, thread_pointer: all.fs_base });
    ptrace::cont(thread, None::<Signal>)
}
