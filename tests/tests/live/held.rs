//! Threads that are held at their end, so that an `exec` of another has to wait for them.

use std::fs;
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};

/// Threads of a process other than its first, each held once it ends, for as long as this lives.
pub(crate) struct Held {
    /// What holds them lets go when its thread, their tracer, ends.
    release: Option<Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

impl Held {
    /// All threads that the process has now, but for the first.
    pub(crate) fn others_of(pid: u32) -> Result<Self> {
        let (release, released) = channel::<()>();
        let (reported, heard) = channel();
        let tracer = thread::spawn(move || {
            let _nobody_hears = reported.send(seize_others(pid));
            let _all_let_go = released.recv();
        });
        let held = Self { release: Some(release), tracer: Some(tracer) };
        heard.recv().context("the tracer ended")??;
        Ok(held)
    }

    /// Lets them end.
    pub(crate) fn release(mut self) -> Result<()> {
        drop(self.release.take());
        self.tracer.take().map_or(Ok(()), JoinHandle::join).map_err(|_| anyhow!("the tracer panicked"))
    }
}

fn seize_others(pid: u32) -> Result<()> {
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let tid: u32 = entry?.file_name().to_string_lossy().parse()?;
        if tid != pid {
            seize(tid).with_context(|| format!("cannot trace thread {tid}"))?;
        }
    }
    Ok(())
}

/// <https://man7.org/linux/man-pages/man2/ptrace.2.html>
fn seize(tid: u32) -> io::Result<()> {
    let stop_at_exit = libc::PTRACE_O_TRACEEXIT;
    // SAFETY: seizing takes no pointers; no memory of this process is concerned.
    let result = unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, 0, stop_at_exit) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
