//! Tasks that hand the worker back by themselves: `yield_now` and the coop budget.

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
#[cfg(feature = "since-1-41")]
use tokio::task::consume_budget;
use tokio::task::yield_now;

use super::work::join_all;
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::log;
use crate::spawn::spawn;

/// Bounds the log; a round makes some 2 400 polls.
const MAX_ROUNDS: u64 = 50;

pub(super) fn run(deadline: Deadline) -> Result<()> {
    for _ in (0..MAX_ROUNDS).take_while(|_| deadline.open()) {
        round(&current_thread_runtime()?);
        round(&multi_thread_runtime(4)?);
    }
    Ok(())
}

fn round(runtime: &Runtime) {
    runtime.block_on(async {
        join_all((0..20).map(|_| spawn(yields()))).await;
        join_all((0..10).map(|_| spawn(always_ready()))).await;
        #[cfg(feature = "since-1-41")]
        join_all((0..10).map(|_| spawn(budget()))).await;
    });
}

async fn yields() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// A channel that always has something: only the budget stops the poll.
async fn always_ready() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for n in 0..1000_u64 {
        if sender.send(n).is_err() {
            log::wrong("the channel closed");
        }
    }
    drop(sender);
    let mut received = 0_u64;
    while receiver.recv().await.is_some() {
        received += 1;
    }
    if received != 1000 {
        log::wrong("the channel lost messages");
    }
}

#[cfg(feature = "since-1-41")]
async fn budget() {
    for _ in 0..1000 {
        consume_budget().await;
    }
}
