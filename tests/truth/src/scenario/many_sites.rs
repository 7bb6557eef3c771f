//! One future type spawned from several functions, by several threads at once.

use std::thread;

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::work::join_all;
use super::{Deadline, multi_thread_runtime};
use crate::spawn::{Spawned, spawn, spawn_on};

/// Bounds the log; a round spawns some 280 tasks.
const MAX_ROUNDS: u64 = 100;

async fn same(n: u64) -> u64 {
    yield_now().await;
    n
}

#[inline(never)]
fn first_site(n: u64) -> Spawned<u64> {
    spawn(same(n))
}

#[inline(never)]
fn second_site(n: u64) -> Spawned<u64> {
    std::hint::black_box(spawn(same(n + 1)))
}

#[inline(never)]
fn third_site(runtime: &Handle, n: u64) -> Spawned<u64> {
    spawn_on(runtime, same(n + 2))
}

pub(super) fn run(deadline: Deadline) -> Result<()> {
    let runtime = multi_thread_runtime(4)?;
    for _ in (0..MAX_ROUNDS).take_while(|_| deadline.open()) {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| from_a_plain_thread(runtime.handle()));
            }
            runtime.block_on(async {
                join_all((0..6).map(|n| spawn(from_a_task(n)))).await;
            });
        });
    }
    Ok(())
}

async fn from_a_task(n: u64) {
    for k in 0..10 {
        join_all([first_site(n + k), second_site(n), third_site(&Handle::current(), k)]).await;
    }
}

/// A thread that is none of the runtime's: these tasks have no parent.
fn from_a_plain_thread(runtime: &Handle) {
    let _entered = runtime.enter();
    let tasks: Vec<_> = (0..10).flat_map(|n| [first_site(n), second_site(n), third_site(runtime, n)]).collect();
    runtime.block_on(join_all(tasks));
}
