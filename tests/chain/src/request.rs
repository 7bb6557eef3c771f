//! A request, as the code that serves it knows it: passed on by hand, so that every task says for which.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio::task::{JoinHandle, JoinSet};

use crate::headers::Correlation;
use crate::log::{self, How, Open, Role, Row, Served};
use crate::os::now;

/// A request in the making.
#[derive(Debug)]
pub(crate) struct Request {
    /// Its number in this process.
    pub(crate) number: u64,
    /// What it bore.
    pub(crate) correlation: Correlation,
    /// The ID that was made up for it.
    pub(crate) made: OnceLock<String>,
}

impl Request {
    /// Spawns a task for it.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.note(tokio::spawn(future), Role::Spawned)
    }

    /// Spawns a task for it that stays on this thread.
    pub(crate) fn spawn_local<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.note(tokio::task::spawn_local(future), Role::Local)
    }

    /// Has a closure run for it on the blocking pool.
    pub(crate) fn spawn_blocking<R: Send + 'static>(&self, f: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        self.note(tokio::task::spawn_blocking(f), Role::Blocking)
    }

    /// Spawns a task for it in a set.
    pub(crate) fn spawn_on<F>(&self, set: &mut JoinSet<F::Output>, future: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        log::task(set.spawn(future).id(), Some(self.number), Role::Spawned);
    }

    fn note<T>(&self, handle: JoinHandle<T>, role: Role) -> JoinHandle<T> {
        log::task(handle.id(), Some(self.number), role);
        handle
    }
}

/// A request while it is served; the handler around all others holds it, and its drop logs the end.
#[derive(Debug)]
pub(crate) struct Serving {
    /// For those who serve it.
    pub(crate) request: Arc<Request>,
    method: String,
    path: String,
    task: Option<u64>,
    begin_ns: u64,
    answer: Option<(u16, Option<i32>)>,
    _open: Open,
}

impl Serving {
    /// Its head has been read. To be called in the task that serves it.
    pub(crate) fn begin(method: &str, path: &str, correlation: Correlation) -> Self {
        Self {
            request: Arc::new(Request { number: log::number(), correlation, made: OnceLock::new() }),
            method: method.to_owned(),
            path: path.to_owned(),
            task: log::current_task(),
            begin_ns: now(),
            answer: None,
            _open: Open::new(),
        }
    }

    /// Its answer is ready.
    pub(crate) fn answered(mut self, status: u16, grpc: Option<i32>) {
        self.answer = Some((status, grpc));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let how = match self.answer {
            Some(_) => How::Answered,
            None if std::thread::panicking() => How::Panicked,
            None => How::Cancelled,
        };
        log::add(Row::Request(Served {
            request: self.request.number,
            correlation: self.request.correlation.clone(),
            made: self.request.made.get().cloned(),
            method: std::mem::take(&mut self.method),
            path: std::mem::take(&mut self.path),
            task: self.task,
            begin_ns: self.begin_ns,
            end_ns: now(),
            how,
            status: self.answer.map(|(status, _)| status),
            grpc: self.answer.and_then(|(_, grpc)| grpc),
        }));
    }
}
