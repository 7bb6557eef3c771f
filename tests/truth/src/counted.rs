//! Futures and closures that count their own polls and note their own end.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::log::{How, Task};
use crate::os::now;

thread_local! {
    static POLL_BEGAN: Cell<Option<u64>> = const { Cell::new(None) };
    static CURRENT: RefCell<Option<Arc<Task>>> = const { RefCell::new(None) };
}

/// The task whose code this thread runs, if it is one that says so.
pub(crate) fn current() -> Option<Arc<Task>> {
    CURRENT.with_borrow(Clone::clone)
}

/// While it lives, this thread runs code of a task; then that of the task before.
pub(crate) struct Current(Option<Arc<Task>>);

impl Current {
    pub(crate) fn enter(task: &Arc<Task>) -> Self {
        Self(CURRENT.replace(Some(Arc::clone(task))))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// When the innermost counted poll on this thread began.
pub(crate) fn poll_began() -> Option<u64> {
    POLL_BEGAN.get()
}

/// A poll that is going on; on drop, also by a panic, the one around it is the innermost again.
struct Polling(Option<u64>, #[expect(dead_code, reason = "held for its drop")] Current);

impl Polling {
    fn begin(task: &Arc<Task>) -> Self {
        let outer = POLL_BEGAN.replace(Some(now()));
        task.count_poll();
        Self(outer, Current::enter(task))
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        POLL_BEGAN.set(self.0);
    }
}

/// What a counted future or closure has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not inside a poll: dropped now, it is cancelled.
    Waiting,
    /// Inside a poll: dropped now, the poll has panicked.
    Running,
    /// Its end is noted.
    Ended,
}

/// Notes a task's end, at the latest when it is dropped.
struct Life {
    task: Arc<Task>,
    stage: Stage,
}

impl Life {
    fn complete(&mut self) {
        self.stage = Stage::Ended;
        self.task.end(How::Completed, Some(now()));
    }

    fn close(&mut self) {
        let how = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting => How::Cancelled,
            Stage::Running => How::Panicked,
            Stage::Ended => return,
        };
        self.task.end(how, Some(now()));
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.close();
    }
}

/// A future whose polls are counted. Boxed, so that it needs no pin projection.
pub(crate) struct Counted<F> {
    life: Life,
    /// `None` in the drop alone.
    inner: Option<Pin<Box<F>>>,
}

impl<F: Future> Counted<F> {
    pub(crate) fn new(task: Arc<Task>, inner: F) -> Self {
        Self { life: Life { task, stage: Stage::Waiting }, inner: Some(Box::pin(inner)) }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _polling = Polling::begin(&self.life.task);
        self.life.stage = Stage::Running;
        let result = match &mut self.inner {
            Some(inner) => inner.as_mut().poll(cx),
            None => Poll::Pending,
        };
        self.life.stage = Stage::Waiting;
        if result.is_ready() {
            self.life.complete();
        }
        result
    }
}

impl<F> Drop for Counted<F> {
    fn drop(&mut self) {
        // The end is noted before what the drop of `inner` does, which is the task's own doing.
        self.life.close();
        let _current = Current::enter(&self.life.task);
        self.inner = None;
    }
}

/// Makes a blocking closure count as one poll when it runs.
pub(crate) fn counted_closure<R>(task: Arc<Task>, f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let mut life = Life { task, stage: Stage::Waiting };
    move || {
        let _polling = Polling::begin(&life.task);
        life.stage = Stage::Running;
        let result = f();
        life.complete();
        result
    }
}
