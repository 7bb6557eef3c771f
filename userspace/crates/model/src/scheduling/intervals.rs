//! Polls and wakes, one by one.

use crate::task::lifecycle::{How, Why};
use asyncscope_trace::event::{State, TaskId};
use asyncscope_trace::facts::Driver;
use probe_common::record::state::{COMPLETE, NOTIFIED, RUNNING};
use serde::Serialize;

/// A poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The task; `None` where its id could not be read.
    pub task: Option<TaskId>,
    /// The thread.
    pub thread: u32,
    /// The time at which it began, in nanoseconds.
    pub start_ns: u64,
    /// The time at which it ended; `None` if that was not seen.
    pub end_ns: Option<u64>,
    /// The way in which it ended.
    pub outcome: Outcome,
    /// `true` if the task was woken during it, and so is ready again.
    pub woken: bool,
    /// Nanoseconds of it in which the thread was inside another task's poll.
    pub nested_ns: u64,
    /// Nanoseconds of it in which the thread was off the CPU, but for those in nested polls; 0 where that is not
    /// watched.
    pub off_cpu_ns: u64,
    /// The part of these in which the kernel held the thread in a trap of asyncscope's.
    pub trap_ns: u64,
    /// `true` if events are missing that may belong to it.
    pub doubtful: bool,
}

/// The way in which a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The future is not done.
    Pending,
    /// The future is done.
    Ready,
    /// A panic ended it.
    Panicked,
    /// The task was aborted meanwhile; whether the future was ready first is not seen.
    AbortedWhileRunning,
    /// Not seen.
    Unknown,
    /// It was none: `raw::poll` was entered, and found the task being torn down by another thread.
    Refused,
}

impl From<How> for Outcome {
    fn from(how: How) -> Self {
        match how {
            How::Completed => Self::Ready,
            How::Panicked => Self::Panicked,
            How::AbortedWhileRunning => Self::AbortedWhileRunning,
            How::Cancelled | How::Unknown => Self::Unknown,
        }
    }
}

/// A use of a task's waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// The task that was woken.
    pub task: TaskId,
    /// The time, in nanoseconds.
    pub time_ns: u64,
    /// On which thread.
    pub thread: u32,
    /// Its effect.
    pub did: Did,
    /// The one who did it.
    pub by: WakeBy,
}

/// The effect of a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// The task was waiting and is ready now.
    MadeReady,
    /// The task was ready already.
    FoundReady,
    /// The task was being polled: it will be ready again after that.
    FoundRunning,
    /// The task was over.
    FoundComplete,
}

impl Did {
    /// Returns the effect that a transition of the state word shows; `None` for one that no wake makes.
    pub(crate) fn of(old: State, new: State) -> Option<Self> {
        match () {
            () if old.has(COMPLETE) => Some(Self::FoundComplete),
            () if old.has(RUNNING) => Some(Self::FoundRunning),
            () if old.has(NOTIFIED) => Some(Self::FoundReady),
            () if new.has(NOTIFIED) => Some(Self::MadeReady),
            () => None,
        }
    }
}

/// The one who woke a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeBy {
    /// A task polled on the thread, or the one that had just completed there.
    Task(TaskId),
    /// The runtime: one of its drivers, or else a worker or `block_on` between polls (the future
    /// of `block_on` has no poll to be seen in, so that it may be that as well).
    Runtime(Option<Driver>),
    /// The task itself, in its last poll: the runtime only put the wake off (`yield_now`, coop).
    Own,
    /// A thread that polls no tasks.
    Thread(u32),
    /// Not known.
    Unknown(Why),
}

/// The longest that a thread was off the CPU in a poll, of those times of which it is known where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffCpuAt {
    /// The length, in nanoseconds.
    pub ns: u64,
    /// The place.
    pub place: OffCpuIn,
}

/// A place at which a thread was off the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OffCpuIn {
    /// In a trap of asyncscope's.
    Trap,
    /// At this stack: a key of [`crate::Samples::stack`].
    Stack(u64),
}

impl OffCpuIn {
    /// Returns the stack of this key; `None` of 0, which stands for none.
    pub(crate) fn stack(key: u64) -> Option<Self> {
        (key != 0).then_some(Self::Stack(key))
    }
}

impl OffCpuAt {
    /// Returns the stack, if it is one.
    #[must_use]
    pub fn stack(self) -> Option<u64> {
        if let OffCpuIn::Stack(key) = self.place { Some(key) } else { None }
    }
}
