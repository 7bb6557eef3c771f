//! Closures on the blocking pool, and tasks that block in place.

use std::sync::mpsc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Handle};
use tokio::task::{block_in_place, yield_now};

use super::work::{family, join_all};
use super::{Deadline, current_thread_runtime, multi_thread_runtime, spin};
use crate::log;
use crate::spawn::{spawn, spawn_blocking, spawn_on};

pub(super) fn run(deadline: Deadline) -> Result<()> {
    multi_thread_runtime(2)?.block_on(async {
        while deadline.open() {
            join_all((0..8).map(|n| spawn(calls(n)))).await;
            join_all((0..2).map(|_| spawn(in_place()))).await;
        }
    });
    aborted()
}

async fn calls(n: u64) {
    let doubled = spawn_blocking(move || n * 2).join().await;
    if doubled != Some(n * 2) {
        log::wrong("a closure lost its result");
    }
    // A closure that spawns, and one that polls a future of its own.
    let spawner = spawn_blocking(|| spawn(family(1)));
    if let Some(child) = spawner.join().await {
        child.join().await;
    }
    let runtime = Handle::current();
    spawn_blocking(move || runtime.block_on(async { spawn(family(1)).join().await })).join().await;
    if n == 0 {
        spawn_blocking(own_runtime).join().await;
    }
}

/// A thread of the pool that polls tasks, and is no worker.
fn own_runtime() {
    match current_thread_runtime() {
        Ok(runtime) => runtime.block_on(async {
            spawn(family(2)).join().await;
            spawn_blocking(|| ()).join().await;
        }),
        Err(_) => log::wrong("a closure got no runtime"),
    }
}

/// The worker's other tasks move to a new thread while this one blocks.
async fn in_place() {
    yield_now().await;
    block_in_place(|| {
        spin(Duration::from_micros(200));
        let runtime = Handle::current();
        let child = spawn_on(&runtime, family(1));
        runtime.block_on(async {
            child.join().await;
            spawn_blocking(|| ()).join().await;
        });
    });
    spawn(family(1)).join().await;
}

/// Aborted while queued (it never runs) and while running (it runs on).
fn aborted() -> Result<()> {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).enable_all().build()?;
    runtime.block_on(async {
        for _ in 0..20 {
            let (started, starts) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let running = spawn_blocking(move || started.send(()).is_ok() && released.recv().is_ok());
            let queued = spawn_blocking(|| ());
            if starts.recv().is_err() {
                log::wrong("the closure did not start");
            }
            queued.abort();
            running.abort();
            if release.send(()).is_err() || running.join().await != Some(true) {
                log::wrong("an abort stopped a running closure");
            }
            if queued.join().await.is_some() {
                log::wrong("an aborted closure ran");
            }
        }
    });
    Ok(())
}
