//! Aborts at every point of a task's life.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, yield_now};
use tokio::time::sleep;

use super::work::family;
use super::{Deadline, current_thread_runtime, multi_thread_runtime, spin};
use crate::log;
use crate::spawn::{Spawned, abort, spawn};

pub(super) fn run(deadline: Deadline) -> Result<()> {
    while deadline.open() {
        round(&current_thread_runtime()?);
        round(&multi_thread_runtime(1)?);
        round(&multi_thread_runtime(4)?);
        races(&multi_thread_runtime(4)?);
    }
    Ok(())
}

/// From inside a task, so that with one worker nothing runs between a spawn and its abort.
fn round(runtime: &Runtime) {
    runtime.block_on(async { spawn(each_point()).join().await });
}

async fn each_point() {
    for _ in 0..10 {
        cancelled(before_the_first_poll()).await;
        cancelled(while_waiting().await).await;
        during_a_poll(false).await;
        during_a_poll(true).await;
        after_the_end().await;
        spawns_when_dropped().await;
    }
}

async fn cancelled<T>(task: Spawned<T>) {
    // With several workers an abort before the first poll may come after it; both are cancelled.
    if task.join().await.is_some() {
        log::wrong("an aborted task completed");
    }
}

fn before_the_first_poll() -> Spawned<()> {
    let task = spawn(pending());
    task.abort();
    task
}

async fn while_waiting() -> Spawned<()> {
    let task = spawn(pending());
    while task.polls() == 0 {
        sleep(Duration::from_micros(100)).await;
    }
    task.abort();
    task.abort();
    task
}

/// The task aborts itself and then returns ready, which counts as completed, or pending.
async fn during_a_poll(ready: bool) {
    let (sender, handle) = oneshot::channel::<AbortHandle>();
    let task = spawn(async move {
        let Ok(handle) = handle.await else { return };
        poll_fn(|_| {
            abort(&handle);
            if ready { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
    if sender.send(task.abort_handle()).is_err() {
        log::wrong("the task was gone before its abort");
    }
    if task.join().await.is_some() != ready {
        log::wrong("an abort during a poll ended otherwise than the poll");
    }
}

async fn after_the_end() {
    let task = spawn(async {});
    while !task.is_finished() {
        yield_now().await;
    }
    task.abort();
    if task.join().await.is_none() {
        log::wrong("an abort after the end undid it");
    }
}

/// Its future spawns when it is dropped: the child's parent is the task being cancelled.
async fn spawns_when_dropped() {
    struct Last(Option<oneshot::Sender<Spawned<u64>>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let Some(sender) = self.0.take() else { return };
            if sender.send(spawn(family(1))).is_err() {
                log::wrong("nobody waits for the last child");
            }
        }
    }
    let (sender, child) = oneshot::channel();
    let last = Last(Some(sender));
    let task = spawn(async move {
        let _last = last;
        pending::<()>().await;
    });
    while task.polls() == 0 {
        yield_now().await;
    }
    task.abort();
    cancelled(task).await;
    if let Ok(child) = child.await {
        child.join().await;
    }
}

/// Aborts from another worker at any moment of a task's short polls.
fn races(runtime: &Runtime) {
    runtime.block_on(async {
        for n in 0..100 {
            let task = Arc::new(spawn(async {
                loop {
                    spin(Duration::from_micros(3));
                    yield_now().await;
                }
            }));
            let victim = Arc::clone(&task);
            let aborter = spawn(async move {
                spin(Duration::from_micros(n % 20));
                victim.abort();
            });
            aborter.join().await;
            while !task.is_finished() {
                yield_now().await;
            }
        }
    });
}
