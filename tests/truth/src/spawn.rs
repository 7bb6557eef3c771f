//! Every way to spawn, each logged.

use std::any::type_name;
use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::{self, AbortHandle, JoinHandle, LocalSet};

use crate::counted::{Counted, counted_closure, current, poll_began};
use crate::ids;
use crate::log::{self, How, Kind, Spawn, Task};
use crate::os::{now, thread};

/// A logged task's handle.
pub(crate) struct Spawned<T> {
    handle: JoinHandle<T>,
    task: Arc<Task>,
}

impl<T> Spawned<T> {
    /// Waits for the end, and checks that tokio and the task itself agree on it.
    pub(crate) async fn join(self) -> Option<T> {
        let result = self.handle.await;
        let how = match &result {
            Ok(_) => How::Completed,
            Err(error) if error.is_panic() => How::Panicked,
            Err(_) => How::Cancelled,
        };
        if self.task.ended().is_none() {
            // A bare task, which cannot say itself.
            self.task.end(how, None);
        }
        if self.task.ended() != Some(how) {
            let (id, says) = (self.task.id(), self.task.ended());
            log::wrong(&format!("task {id:?} says {says:?}, its handle {how:?}"));
        }
        result.ok()
    }

    pub(crate) fn abort(&self) {
        abort(&self.handle.abort_handle());
    }

    pub(crate) fn abort_handle(&self) -> AbortHandle {
        self.handle.abort_handle()
    }

    /// The id as tokio numbers it.
    pub(crate) fn id(&self) -> u64 {
        ids::of(&self.handle.abort_handle())
    }

    pub(crate) fn polls(&self) -> u64 {
        self.task.polls()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

/// Aborts a task and logs it.
pub(crate) fn abort(handle: &AbortHandle) {
    let t0 = now();
    handle.abort();
    log::fact(json!({ "abort": ids::of(handle), "thread": thread(), "t0": t0, "t1": now() }));
}

pub(crate) fn spawn<F>(future: F) -> Spawned<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    track(Kind::Spawned, type_name::<F>(), true, |task| tokio::spawn(Counted::new(task, future)))
}

/// Spawns where tokio names another task than the one whose code runs: where an output is dropped with its handle.
pub(crate) fn spawn_as<F>(parent: Option<Arc<Task>>, future: F) -> Spawned<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    track_as(parent, Kind::Spawned, type_name::<F>(), true, |task| tokio::spawn(Counted::new(task, future)))
}

pub(crate) fn spawn_on<F>(runtime: &Handle, future: F) -> Spawned<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    track(Kind::Spawned, type_name::<F>(), true, |task| runtime.spawn(Counted::new(task, future)))
}

pub(crate) fn spawn_local<F: Future + 'static>(future: F) -> Spawned<F::Output> {
    track(Kind::Local, type_name::<F>(), true, |task| task::spawn_local(Counted::new(task, future)))
}

pub(crate) fn spawn_local_on<F: Future + 'static>(set: &LocalSet, future: F) -> Spawned<F::Output> {
    track(Kind::Local, type_name::<F>(), true, |task| set.spawn_local(Counted::new(task, future)))
}

pub(crate) fn spawn_blocking<F, R>(f: F) -> Spawned<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    track(Kind::Blocking, type_name::<F>(), true, |task| task::spawn_blocking(counted_closure(task, f)))
}

pub(crate) fn spawn_blocking_on<F, R>(runtime: &Handle, f: F) -> Spawned<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    track(Kind::Blocking, type_name::<F>(), true, |task| runtime.spawn_blocking(counted_closure(task, f)))
}

/// Spawns the future itself, not wrapped, so that its type is `name` alone. It is reported which task it
/// is, and has to say so before it spawns.
pub(crate) fn spawn_bare<F>(name: &str, future: impl FnOnce(Arc<Task>) -> F) -> Spawned<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    track(Kind::Spawned, name, false, |task| tokio::spawn(future(task)))
}

fn track<T>(kind: Kind, type_name: &str, counted: bool, start: impl FnOnce(Arc<Task>) -> JoinHandle<T>) -> Spawned<T> {
    let parent = current();
    // The parent's own spawn may still be about to return, on another thread.
    let known = parent.as_ref().map(|parent| parent.id());
    if known != Some(None) && !ids::tokio_agrees(known.flatten()) {
        log::wrong(&format!("tokio says that {known:?} is not the running task"));
    }
    track_as(parent, kind, type_name, counted, start)
}

fn track_as<T>(
    parent: Option<Arc<Task>>,
    kind: Kind,
    type_name: &str,
    counted: bool,
    start: impl FnOnce(Arc<Task>) -> JoinHandle<T>,
) -> Spawned<T> {
    let task = Task::new(kind, type_name, counted);
    let poll_began = poll_began();
    let t0 = now();
    let handle = start(Arc::clone(&task));
    let t1 = now();
    task.spawned(Spawn { id: ids::of(&handle.abort_handle()), parent, thread: thread(), t0, t1, poll_began });
    Spawned { handle, task }
}
