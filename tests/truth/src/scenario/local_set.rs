//! `LocalSet`s: in a root future, inside one another, woken from other threads, dropped in use.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, yield_now};
use tokio::time::sleep;

use super::work::join_all;
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::log;
use crate::spawn::{spawn, spawn_blocking, spawn_local, spawn_local_on};

pub(super) fn run(deadline: Deadline) -> Result<()> {
    while deadline.open() {
        one_set(&current_thread_runtime()?);
        one_set(&multi_thread_runtime(2)?);
    }
    Ok(())
}

fn one_set(runtime: &Runtime) {
    let set = LocalSet::new();
    let early = spawn_local_on(&set, async { yield_now().await });
    set.block_on(runtime, async {
        join_all((0..10).map(|n| spawn_local(local(n)))).await;
        nested().await;
        early.join().await;
    });
    spawn_local_on(&set, pending::<()>());
    // Runs the new task's first poll, so that one waiting and one never polled are dropped.
    set.block_on(runtime, yield_now());
    spawn_local_on(&set, pending::<()>());
    log::shutdown(|| drop(set));
}

async fn local(n: u64) {
    let shared = Rc::new(n);
    let (sender, receiver) = oneshot::channel();
    let remote = spawn(async move { sender.send(n).is_ok() });
    let sibling = spawn_local({
        let shared = Rc::clone(&shared);
        async move { sleep(Duration::from_micros(100 * *shared)).await }
    });
    if receiver.await != Ok(*shared) {
        log::wrong("another number came back");
    }
    remote.join().await;
    sibling.join().await;
    spawn_blocking(|| ()).join().await;
}

/// A set inside a task of another set: polls inside polls.
async fn nested() {
    let outer = spawn_local(async {
        let inner = LocalSet::new();
        let early = spawn_local_on(&inner, local(1));
        inner.run_until(async { join_all((0..3).map(|n| spawn_local(local(n)))).await }).await;
        early.join().await;
        spawn_local_on(&inner, async { spawn_local(local(2)).join().await });
        inner.await;
    });
    outer.join().await;
}
