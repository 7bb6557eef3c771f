//! A thousand threads, each with a runtime: all at once, then coming and going.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::runtime::{Builder, Runtime};

use super::Deadline;
use super::work::{family, join_all};
use crate::log;
use crate::spawn::{spawn, spawn_blocking};

const THREADS: usize = 1000;
const AT_A_TIME: usize = 100;
const STACK: usize = 256 << 10;

pub(super) fn run(_: Deadline) -> Result<()> {
    let all_here = Arc::new(Barrier::new(THREADS));
    wave(THREADS, move || {
        all_here.wait();
    })?;
    for _ in 0..THREADS / AT_A_TIME {
        wave(AT_A_TIME, || ())?;
    }
    blocking_threads()
}

fn wave(threads: usize, first: impl Fn() + Clone + Send + 'static) -> Result<()> {
    let start = |_| {
        let first = first.clone();
        thread::Builder::new().stack_size(STACK).spawn(move || {
            first();
            work()
        })
    };
    let threads = (0..threads).map(start).collect::<Result<Vec<_>, _>>()?;
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(())
}

fn work() -> Result<()> {
    if small()?.block_on(async { spawn(family(2)).join().await }) != Some(1) {
        log::wrong("a family lost a message");
    }
    Ok(())
}

/// Without descriptors, of which a process may have few.
fn small() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_time().build()?)
}

/// Threads of the blocking pool, which leave it at once.
fn blocking_threads() -> Result<()> {
    let runtime = Builder::new_current_thread().enable_time().thread_keep_alive(Duration::ZERO).build()?;
    runtime.block_on(async {
        for _ in 0..10 {
            join_all((0..20).map(|_| spawn_blocking(thread::yield_now))).await;
        }
    });
    Ok(())
}
