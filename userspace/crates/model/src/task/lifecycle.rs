//! The words for a task's life: who spawned it, what it is doing, where its time goes, how it ended.

use serde::Serialize;

use asyncscope_trace::event::TaskId;

/// A poll whose end was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unended {
    /// Its place among the graph's polls, if these are kept.
    pub(crate) poll: Option<usize>,
    /// The epoch in which it began.
    pub(crate) epoch: u64,
}

/// The one who spawned a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// A task, polled on the spawning thread.
    Task(TaskId),
    /// This thread, outside of every task: the future of its `block_on`, or plain code.
    Root(u32),
    /// Not known.
    Unknown(Why),
}

/// A reason why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It began before the attach.
    BeforeAttach,
    /// Events are missing.
    Gap,
    /// No hook saw it.
    Unseen,
}

/// A spawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// The time, in nanoseconds.
    pub time_ns: u64,
    /// The thread.
    pub thread: u32,
}

/// The end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The time, in nanoseconds.
    pub time_ns: u64,
    /// The kind of end.
    pub how: How,
}

/// The way in which a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Its future was ready.
    Completed,
    /// It was cancelled between polls, or shut down with its runtime.
    Cancelled,
    /// Its last poll completed it, and a panic began in that poll.
    Panicked,
    /// It was aborted during its last poll; whether the future was ready first is not seen.
    AbortedWhileRunning,
    /// It was found complete; the completion itself was not seen.
    Unknown,
}

/// The state that a task is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// On a thread: polled, or its future being dropped by a cancellation.
    Running,
    /// To be polled as soon as a thread takes it.
    Ready,
    /// Until somebody wakes it.
    Waiting,
}

/// A stretch in which a task was not polled, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Its length.
    pub(crate) ns: u64,
    /// The part of it, at its end, in which the task was ready.
    pub(crate) ready_ns: u64,
    /// Up to when.
    pub(crate) until_ns: u64,
}

/// A task's times, in nanoseconds. Running, off the CPU, ready and waiting add up to its lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Running.
    pub running_ns: u64,
    /// Inside a poll of its own and none nested in that, its thread off the CPU and not runnable; 0 where that is not
    /// watched.
    pub off_cpu_ns: u64,
    /// The part of that in which the kernel held its thread in a trap of asyncscope's.
    pub trap_ns: u64,
    /// Ready, not running.
    pub ready_ns: u64,
    /// Waiting.
    pub waiting_ns: u64,
    /// The part of these two in which its thread was inside another frame.
    pub nested_ns: u64,
    /// The sum of the polls whose start and end were seen.
    pub polls_ns: u64,
    /// The longest of these.
    pub longest_poll_ns: u64,
}

impl Times {
    /// Inside its polls, running or off the CPU, but for what ran nested inside.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.running_ns.saturating_add(self.off_cpu_ns).saturating_sub(self.nested_ns)
    }

    /// Running, but for what ran nested inside.
    #[must_use]
    pub fn on_cpu_ns(&self) -> u64 {
        self.busy_ns().saturating_sub(self.off_cpu_ns)
    }
}

impl Times {
    /// Returns what came on top of `earlier`. The longest poll is not known of a part.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            running_ns: self.running_ns.saturating_sub(earlier.running_ns),
            off_cpu_ns: self.off_cpu_ns.saturating_sub(earlier.off_cpu_ns),
            trap_ns: self.trap_ns.saturating_sub(earlier.trap_ns),
            ready_ns: self.ready_ns.saturating_sub(earlier.ready_ns),
            waiting_ns: self.waiting_ns.saturating_sub(earlier.waiting_ns),
            nested_ns: self.nested_ns.saturating_sub(earlier.nested_ns),
            polls_ns: self.polls_ns.saturating_sub(earlier.polls_ns),
            longest_poll_ns: 0,
        }
    }

    pub(crate) fn plus(&self, more: &Self) -> Self {
        Self {
            running_ns: self.running_ns.saturating_add(more.running_ns),
            off_cpu_ns: self.off_cpu_ns.saturating_add(more.off_cpu_ns),
            trap_ns: self.trap_ns.saturating_add(more.trap_ns),
            ready_ns: self.ready_ns.saturating_add(more.ready_ns),
            waiting_ns: self.waiting_ns.saturating_add(more.waiting_ns),
            nested_ns: self.nested_ns.saturating_add(more.nested_ns),
            polls_ns: self.polls_ns.saturating_add(more.polls_ns),
            longest_poll_ns: 0,
        }
    }
}
