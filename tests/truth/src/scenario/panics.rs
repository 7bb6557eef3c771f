//! Panics of every kind: at the first poll, at a later one, in a closure, and caught by the task.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind, set_hook};

use anyhow::Result;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use super::work::{family, join_all};
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::counted::current;
use crate::log;
use crate::spawn::{spawn, spawn_blocking};

pub(super) fn run(deadline: Deadline) -> Result<()> {
    set_hook(Box::new(|_| ()));
    while deadline.open() {
        round(&current_thread_runtime()?);
        round(&multi_thread_runtime(2)?);
    }
    Ok(())
}

fn round(runtime: &Runtime) {
    runtime.block_on(async {
        join_all((0..20).map(|n| spawn(panics_after(n % 4, n)))).await;
        join_all((0..4).map(|n| spawn_blocking(move || burst(n)))).await;
        join_all((0..8).map(|n| spawn(catches(n % 2 == 0)))).await;
        join_all((0..4).map(|_| spawn(parent_of_a_panic()))).await;
    });
}

/// Panics in its poll number `polls + 1`, each in another way.
async fn panics_after(polls: u64, way: u64) {
    for _ in 0..polls {
        yield_now().await;
    }
    burst(way);
}

#[expect(clippy::panic, reason = "the scenario is about panics")]
fn burst(way: u64) {
    let empty: [u64; 0] = [];
    match way % 4 {
        0 => panic!("task {way}"),
        1 => panic_any(way),
        2 => resume_unwind(Box::new(way)),
        _ => drop(std::hint::black_box(&empty[..])[usize::try_from(way).unwrap_or(0)]),
    }
}

/// Catches its own panic, then completes: in a later poll or, `at_once`, in the same one.
async fn catches(at_once: bool) {
    yield_now().await;
    let caught = catch_unwind(AssertUnwindSafe(|| burst(0))).is_err();
    // Its spawn may still be about to return, on another thread, but not for long.
    let caught_in = current().map(|task| iter::repeat_with(|| task.id()).find_map(|id| id));
    log::fact(json!({ "caught": caught_in, "poll": 2 }));
    if !caught {
        log::wrong("no panic to catch");
    }
    if !at_once {
        spawn(family(1)).join().await;
    }
}

/// Goes on after its child's panic.
async fn parent_of_a_panic() {
    let child = spawn(panics_after(1, 0));
    if child.join().await.is_some() {
        log::wrong("no panic to join");
    }
    spawn(family(1)).join().await;
}
