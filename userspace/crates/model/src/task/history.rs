//! The history of a task, for spans: what of its life is worth reporting one by one. Bounded, however long it lives.

use std::sync::{Arc, OnceLock};

use crate::task::Task;
use crate::task::owner::Owner;
use crate::task::waits::Awaits;
use asyncscope_trace::event::TaskId;

/// Moments, and wakers, kept of one task.
pub const MAX_HISTORY: usize = 128;
/// The longest line of ancestors that is kept.
const MAX_LINE: usize = 512;

/// A task's notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The task and its ancestors.
    pub line: Arc<Lineage>,
    /// Everything that happened, by the time at which it was known.
    pub happened: Vec<Happened>,
    /// The number of further happenings.
    pub more_happened: u64,
    /// The tasks that woke it, in the order of their first wakes.
    pub wakers: Vec<Waker>,
    /// Wakes by tasks beyond those.
    pub more_wakes: u64,
    /// Its waits, but for those while it served one request.
    pub awaits: Awaits,
}

/// A task and the line of those that spawned it.
#[derive(Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The task.
    pub id: TaskId,
    /// Its type's key.
    pub vtable: u64,
    /// The task that spawned it, if it is one of which notes are taken.
    pub parent: Option<TaskId>,
    /// That task's line; `None` also where the line is longer than is kept.
    pub up: Option<Arc<Lineage>>,
    /// The oldest known ancestor: the task itself if its parent is no task, or not known.
    pub root: Root,
    /// The task's owner, once somebody had to know.
    pub(crate) settled: OnceLock<Owner>,
    /// The number of ancestors that are kept.
    depth: usize,
}

/// The oldest known ancestor of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The task.
    pub id: TaskId,
    /// The time at which it was first seen, in nanoseconds.
    pub first_seen_ns: u64,
}

/// Something that happened to a task. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A poll that took long.
    LongPoll {
        /// The time at which it began.
        start_ns: u64,
        /// The time at which it ended.
        end_ns: u64,
        /// The thread that polled.
        thread: u32,
    },
    /// It was ready for long before a thread took it.
    Delay {
        /// The time at which it became ready.
        start_ns: u64,
        /// The time at which a thread took it.
        end_ns: u64,
    },
    /// A panic began in it.
    Panic {
        /// The time at which it began.
        time_ns: u64,
        /// The thread on which it began.
        thread: u32,
    },
    /// It was asked to cancel.
    Abort {
        /// The time at which it was asked.
        time_ns: u64,
        /// The thread that asked.
        thread: u32,
    },
}

/// A task that woke another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waker {
    /// The waker.
    pub lineage: Arc<Lineage>,
    /// Its first wake that made the woken task ready, or found it running.
    pub first_ns: u64,
    /// Its last.
    pub last_ns: u64,
    /// Their number.
    pub times: u64,
}

impl History {
    pub(crate) fn of(task: &Task, parent: Option<&Arc<Lineage>>) -> Self {
        let own = Root { id: task.id, first_seen_ns: task.first_seen_ns };
        let kept = parent.filter(|line| line.depth + 1 < MAX_LINE).cloned();
        let line = Lineage {
            id: task.id,
            vtable: task.vtable,
            parent: parent.map(|line| line.id),
            root: parent.map_or(own, |line| line.root),
            depth: kept.as_ref().map_or(0, |line| line.depth + 1),
            up: kept,
            settled: OnceLock::new(),
        };
        let (happened, wakers, awaits) = (Vec::new(), Vec::new(), Awaits::default());
        Self { line: Arc::new(line), happened, more_happened: 0, wakers, more_wakes: 0, awaits }
    }

    pub(crate) fn happened(&mut self, what: Happened) {
        if self.happened.len() < MAX_HISTORY {
            self.happened.push(what);
        } else {
            self.more_happened += 1;
        }
    }

    pub(crate) fn woken(&mut self, by: &Arc<Lineage>, now: u64) {
        if let Some(waker) = self.wakers.iter_mut().find(|waker| waker.lineage.id == by.id) {
            waker.last_ns = now;
            waker.times += 1;
        } else if self.wakers.len() < MAX_HISTORY {
            self.wakers.push(Waker { lineage: Arc::clone(by), first_ns: now, last_ns: now, times: 1 });
        } else {
            self.more_wakes += 1;
        }
    }
}

impl Lineage {
    /// Returns `true` if it is longer than is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.up.is_none() && self.parent.is_some()
    }

    /// The line from here up to the oldest kept ancestor.
    pub fn upwards(&self) -> impl Iterator<Item = &Lineage> {
        std::iter::successors(Some(self), |line| line.up.as_deref())
    }
}
