//! Futures and closures that count their own polls and note their own end.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::log::{How, Task};
use crate::os::now;

thread_local! {
    static POLL_BEGAN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// When the innermost counted poll on this thread began.
pub(crate) fn poll_began() -> Option<u64> {
    POLL_BEGAN.get()
}

/// A poll that is going on; on drop, also by a panic, the one around it is the innermost again.
struct Polling(Option<u64>);

impl Polling {
    fn begin(task: &Task) -> Self {
        let outer = POLL_BEGAN.replace(Some(now()));
        task.count_poll();
        Self(outer)
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
}

impl Drop for Life {
    fn drop(&mut self) {
        let how = match self.stage {
            Stage::Waiting => How::Cancelled,
            Stage::Running => How::Panicked,
            Stage::Ended => return,
        };
        self.task.end(how, Some(now()));
    }
}

/// A future whose polls are counted. Boxed, so that it needs no pin projection.
pub(crate) struct Counted<F> {
    // Before `inner`, so that the end is noted before what the drop of `inner` does.
    life: Life,
    inner: Pin<Box<F>>,
}

impl<F: Future> Counted<F> {
    pub(crate) fn new(task: Arc<Task>, inner: F) -> Self {
        Self { life: Life { task, stage: Stage::Waiting }, inner: Box::pin(inner) }
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _polling = Polling::begin(&self.life.task);
        self.life.stage = Stage::Running;
        let result = self.inner.as_mut().poll(cx);
        self.life.stage = Stage::Waiting;
        if result.is_ready() {
            self.life.complete();
        }
        result
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
