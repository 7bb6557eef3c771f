//! Panics by the thousand, through every function of tokio's that one can come through: raised in polls,
//! closures, wakers, drops of futures, of outputs and of panics' own payloads; and hooked functions called
//! while a panic unwinds. Every one is caught, by tokio or here.
//!
//! Each kind prints how many of its panics were caught, and how many of its tasks tokio says panicked.
//! Without `RUST_BACKTRACE` nothing is printed about a panic, and so many more are raised.

mod kinds;

use std::env::var_os;
use std::panic::set_hook;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::Deadline;
use crate::log;

const ROUNDS: u64 = 2000;
const ROUNDS_WITH_BACKTRACES: u64 = 40;

/// What became of a kind's panics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Tasks spawned.
    tasks: u64,
    /// Of these, those whose end tokio says as a panic.
    panicked: u64,
    /// Those that were cancelled, without a panic.
    cancelled: u64,
    /// Panics caught, by tokio or by this program.
    caught: u64,
}

pub(super) fn run(_: Deadline) -> Result<()> {
    let with_backtraces = var_os("RUST_BACKTRACE").is_some();
    if !with_backtraces {
        set_hook(Box::new(|_| ()));
    }
    let rounds = if with_backtraces { ROUNDS_WITH_BACKTRACES } else { ROUNDS };
    for (name, kind) in kinds::ALL {
        let start = Instant::now();
        let Tally { tasks, panicked, cancelled, caught } = kind(rounds)?;
        let micros = u64::try_from(start.elapsed().as_micros())?;
        let tasks =
            json!({ "tasks": tasks, "panicked": panicked, "cancelled": cancelled, "caught": caught, "micros": micros });
        log::fact(json!({ "storm": name, "of": tasks }));
    }
    Ok(())
}
