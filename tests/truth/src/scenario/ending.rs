//! Every way in which a process ends that is none of its own choosing, or not a return from `main`.
#![expect(clippy::panic, reason = "the scenario is about panics")]

use std::panic::{panic_any, set_hook};

use anyhow::{Context as _, Result};

use super::work::{family, join_all};
use super::{multi_thread_runtime, sealed};
use crate::spawn::spawn;
use crate::stage::Stage;

/// How to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// A panic in `main`.
    Panic,
    /// A panic while a panic unwinds.
    DoublePanic,
    /// A panic in a function that may not unwind.
    NoUnwind,
    /// `exit` inside a poll.
    Exit,
    /// `abort` inside a poll.
    Abort,
    /// A stack without end inside a poll.
    Overflow,
    /// SIGTERM, from itself, inside a poll.
    Terminated,
    /// A system call that a seccomp filter does not know, inside a poll.
    Forbidden,
    /// A return from `main` with tasks under way, in a runtime that is never dropped.
    Leak,
}

impl Ending {
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "panic" => Self::Panic,
            "double_panic" => Self::DoublePanic,
            "no_unwind" => Self::NoUnwind,
            "exit" => Self::Exit,
            "abort" => Self::Abort,
            "overflow" => Self::Overflow,
            "terminated" => Self::Terminated,
            "forbidden" => Self::Forbidden,
            "leak" => Self::Leak,
            _ => return None,
        })
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic_any(2_u8);
    }
}

extern "C" fn does_not_unwind() {
    panic_any(3_u8);
}

/// Uses up the stack: the page is needed after the call.
fn without_end(n: u64) -> u64 {
    let page = std::hint::black_box([n; 512]);
    let deeper = if n == u64::MAX { 0 } else { without_end(n + 1) };
    deeper.wrapping_add(page[usize::try_from(n % 512).unwrap_or(0)])
}

/// Works first, so that there is something to be seen.
pub(super) fn run(stage: &Stage, ending: Ending) -> Result<()> {
    set_hook(Box::new(|_| ()));
    stage.go()?;
    let runtime = multi_thread_runtime(2)?;
    runtime.block_on(async { join_all((0..50).map(|_| spawn(family(2)))).await });
    match ending {
        Ending::Panic => panic_any(1_u8),
        Ending::Leak => {
            for _ in 0..10 {
                runtime.spawn(std::future::pending::<()>());
            }
            std::mem::forget(runtime);
            return Ok(());
        }
        Ending::Forbidden => sealed::seal()?,
        _ => {}
    }
    runtime.block_on(runtime.spawn(async move { end(ending) })).context("the task did not end the process")
}

fn end(ending: Ending) {
    match ending {
        Ending::DoublePanic => {
            let _guard = PanicsInDrop;
            panic_any(1_u8);
        }
        Ending::NoUnwind => does_not_unwind(),
        Ending::Exit => std::process::exit(5),
        Ending::Abort => std::process::abort(),
        Ending::Overflow => drop(std::hint::black_box(without_end(1))),
        Ending::Terminated => {
            // SAFETY: the call takes no pointers.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
            std::thread::park();
        }
        Ending::Forbidden => {
            // SAFETY: there is no such call.
            unsafe { libc::syscall(sealed::UNKNOWN) };
        }
        Ending::Panic | Ending::Leak => {}
    }
}
