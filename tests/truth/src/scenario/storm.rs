//! As many spawns and polls as four workers make, bounded in time and tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::task::yield_now;

use super::work::join_all;
use super::{Deadline, multi_thread_runtime};
use crate::spawn::spawn;

/// Bounds the log, which is kept in memory and printed at the end.
const MAX_TASKS: u64 = 40_000;

pub(super) fn run(deadline: Deadline) -> Result<()> {
    let spawned = Arc::new(AtomicU64::new(0));
    multi_thread_runtime(4)?.block_on(async {
        join_all((0..64).map(|_| spawn(gust(Arc::clone(&spawned), deadline)))).await;
    });
    Ok(())
}

async fn gust(spawned: Arc<AtomicU64>, deadline: Deadline) {
    while deadline.open() && spawned.fetch_add(2, Ordering::Relaxed) < MAX_TASKS {
        spawn(async { spawn(yields(8)).join().await }).join().await;
    }
}

async fn yields(times: u64) {
    for _ in 0..times {
        yield_now().await;
    }
}
