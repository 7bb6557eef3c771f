//! Children of every kind: one that becomes a tokio program of its own by fork alone, some that fork inside
//! a poll and end at once, and commands.

use std::io;

use anyhow::{Result, ensure};
use tokio::process::Command;

use super::work::{family, rounds};
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::log;
use crate::spawn::spawn;

/// What a child that lived well exits with.
const WELL: i32 = 7;
const COMMANDS: usize = 20;
const FORKS: usize = 20;

pub(super) fn run(deadline: Deadline) -> Result<()> {
    // This thread is the only one still, so the child may do whatever a program may.
    let child = fork(|| if child_life().is_ok_and(|sums_are_right| sums_are_right) { WELL } else { 1 })?;
    current_thread_runtime()?.block_on(async {
        spawn(commands()).join().await;
        spawn(forks_in_a_poll()).join().await;
        rounds(deadline, 4).await;
    });
    ensure!(exit_code(child)? == Some(WELL), "the child lived otherwise");
    Ok(())
}

/// What is logged here is the child's copy, and is never printed.
fn child_life() -> Result<bool> {
    let mut right = true;
    for runtime in [current_thread_runtime()?, multi_thread_runtime(2)?] {
        for _ in 0..50 {
            right &= runtime.block_on(spawn_on_this(&runtime)) == Some(3);
        }
    }
    Ok(right)
}

async fn spawn_on_this(runtime: &tokio::runtime::Runtime) -> Option<u64> {
    runtime.spawn(family(3)).await.ok()
}

async fn commands() {
    for _ in 0..COMMANDS {
        let succeeded = Command::new("true").status().await.is_ok_and(|status| status.success());
        let failed = Command::new("false").status().await.is_ok_and(|status| status.code() == Some(1));
        if !(succeeded && failed) {
            log::wrong("a command ended otherwise than it does");
        }
    }
}

async fn forks_in_a_poll() {
    for _ in 0..FORKS {
        let code = fork(|| WELL).and_then(exit_code);
        if !matches!(code, Ok(Some(WELL))) {
            log::wrong("a child forked inside a poll ended otherwise");
        }
        tokio::task::yield_now().await;
    }
}

/// The child exits with what `life` returns, and runs nothing else of this program.
fn fork(life: impl FnOnce() -> i32) -> io::Result<libc::pid_t> {
    // SAFETY: in a child of several threads `life` only returns a constant; else there is one thread.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the call ends the process.
        0 => unsafe { libc::_exit(life()) },
        child => Ok(child),
    }
}

fn exit_code(child: libc::pid_t) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: `status` is live and writable.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
        return Err(io::Error::last_os_error());
    }
    Ok(libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)))
}
