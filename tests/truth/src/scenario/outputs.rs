//! Outputs and futures that spawn and wake when they are dropped, and where that is.

use std::future::pending;
use std::sync::Arc;

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::work::family;
use super::{Deadline, current_thread_runtime, multi_thread_runtime};
use crate::counted::{Current, current};
use crate::log::{self, By, Task};
use crate::spawn::{Spawned, spawn, spawn_as};

/// Bounds the log.
const MAX_ROUNDS: u64 = 50;

pub(super) fn run(deadline: Deadline) -> Result<()> {
    for _ in (0..MAX_ROUNDS).take_while(|_| deadline.open()) {
        round(&current_thread_runtime()?);
        round(&multi_thread_runtime(1)?);
        round(&multi_thread_runtime(4)?);
    }
    Ok(())
}

/// By the future of `block_on`, and in a task.
fn round(runtime: &Runtime) {
    runtime.block_on(each_way());
    runtime.block_on(async { spawn(each_way()).join().await });
}

async fn each_way() {
    for _ in 0..5 {
        detached().await;
        dropped_with_the_handle().await;
        aborted().await;
    }
}

/// Spawns and wakes when it is dropped.
struct Last {
    child: Option<oneshot::Sender<Spawned<u64>>>,
    /// Whose doing that is, where tokio says so as well.
    task: Option<Arc<Task>>,
}

impl Drop for Last {
    fn drop(&mut self) {
        let Some(sender) = self.child.take() else { return };
        let child = match &self.task {
            Some(task) => {
                let _current = Current::enter(task);
                spawn(family(1))
            }
            None => spawn_as(current(), family(1)),
        };
        if sender.send(child).is_err() {
            log::wrong("nobody waits for the last child");
        }
    }
}

/// A task that waits for the last child, and what is to be dropped for that.
async fn waiter() -> (Spawned<Option<Spawned<u64>>>, Last) {
    let (sender, child) = oneshot::channel();
    let waiter = spawn(async move { child.await.ok() });
    while waiter.polls() == 0 {
        yield_now().await;
    }
    (waiter, Last { child: Some(sender), task: None })
}

/// The waiter is woken once, by whoever dropped what it waits for.
async fn woken_by(waiter: Spawned<Option<Spawned<u64>>>, by: Vec<By>) {
    log::woken(waiter.id(), by);
    match waiter.join().await.flatten() {
        Some(child) => drop(child.join().await),
        None => log::wrong("there was no last child"),
    }
}

/// Nobody is to read the output when the task completes: it is dropped there.
async fn detached() {
    let (waiter, mut last) = waiter().await;
    let (go, gone) = oneshot::channel::<()>();
    let task = spawn(async move {
        let _ = gone.await;
        last.task = current();
        last
    });
    let id = task.id();
    drop(task);
    let _ = go.send(());
    woken_by(waiter, vec![By::Task(id)]).await;
}

/// The output is there when the handle is dropped: it is the joiner's then, whatever tokio calls it.
async fn dropped_with_the_handle() {
    let (waiter, last) = waiter().await;
    let task = spawn(async move { last });
    while !task.is_finished() {
        yield_now().await;
    }
    drop(task);
    let joiner = current().and_then(|task| task.id());
    woken_by(waiter, vec![joiner.map_or(By::Root, By::Task)]).await;
}

/// The task's future is dropped as the task is cancelled.
async fn aborted() {
    let (waiter, mut last) = waiter().await;
    let task = spawn(async move {
        last.task = current();
        pending::<()>().await;
        drop(last);
    });
    while task.polls() == 0 {
        yield_now().await;
    }
    let id = task.id();
    task.abort();
    if task.join().await.is_some() {
        log::wrong("an aborted task completed");
    }
    woken_by(waiter, vec![By::Task(id)]).await;
}
