//! One task: its lineage, its counts, and its time by phase.

use serde::Serialize;

use super::awaits::Waited;
use super::notes::Notes;
use super::own::{Duties, Kin};
use crate::event::TaskId;
use crate::facts::TaskKind;

/// A tokio task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// tokio's id.
    pub id: TaskId,
    /// Its type's key.
    pub vtable: u64,
    /// What runs it.
    pub kind: TaskKind,
    /// Whether it is the runtime's own: a worker.
    pub runtime: bool,
    /// Who spawned it.
    pub parent: Parent,
    /// Its spawn, if that was seen.
    pub born: Option<Birth>,
    /// When it was first seen, in nanoseconds; its birth if that was seen.
    pub first_seen_ns: u64,
    /// Its end, if that was seen.
    pub end: Option<End>,
    /// Polls whose start was seen.
    pub polls: u64,
    /// Those of them whose end was not.
    pub polls_unended: u64,
    /// Uses of its wakers, whatever they did.
    pub wakes: u64,
    /// Requests to cancel it.
    pub aborts: u64,
    /// Where its time went.
    pub times: Times,
    /// What it awaited, and for how long.
    pub waited: Vec<Waited>,
    /// The last wait that is over, while it is not known what was awaited.
    pub(super) awaiting: Wait,
    /// The wait since the last poll ended.
    pub(super) pending: Wait,
    pub(super) phase: Phase,
    /// Up to when `times` is right.
    charged_to: u64,
    /// The thread whose frame holds the task RUNNING, as far as known.
    pub(super) on: Option<u32>,
    /// The epoch in which a poll started though the wake before it was not seen: it may yet come.
    pub(super) owed_wake: Option<u64>,
    /// The last poll, if its end was not seen.
    pub(super) unended: Option<Unended>,
    /// What is worth telling one by one, where that is wanted.
    pub notes: Option<Box<Notes>>,
    /// What its spawn says of whose work it is.
    pub(super) kin: Kin,
    /// Whether it read the head of a request.
    pub(super) is_server: bool,
    /// Whether it wrote the head of a call while it served no request.
    pub(super) is_client: bool,
    /// Whether it was spawned to serve one HTTP/2 stream.
    pub(super) is_stream: bool,
    /// Whether it woke a task of another request, or was woken by one.
    pub(super) had_contact: bool,
    /// Whether it was seen to serve several connections, or streams, at a time.
    pub(super) is_shared: bool,
    pub(super) duties: Option<Box<Duties>>,
}

/// A poll whose end was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unended {
    /// Its place among the graph's polls, if these are kept.
    pub(super) poll: Option<usize>,
    /// The epoch in which it began.
    pub(super) epoch: u64,
}

/// Who spawned a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parent {
    /// A task, polled on the spawning thread.
    Task(TaskId),
    /// This thread, outside of every task: the future of its `block_on`, or plain code.
    Root(u32),
    /// Not known.
    Unknown(Why),
}

/// Why something is not known.
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
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// On which thread.
    pub thread: u32,
}

/// The end of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When, in nanoseconds.
    pub time_ns: u64,
    /// How.
    pub how: How,
}

/// How a task ended.
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

/// What a task is doing.
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
pub(super) struct Wait {
    /// How long it is.
    pub(super) ns: u64,
    /// The part of it, at its end, in which the task was ready.
    pub(super) ready_ns: u64,
    /// Up to when.
    pub(super) until_ns: u64,
}

/// Where a task's time went, in nanoseconds. Running, blocked, ready and waiting add up to its lifetime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Running.
    pub running_ns: u64,
    /// Inside a poll of its own and none nested in that, its thread off the CPU and not runnable; 0 where that is not watched.
    pub blocked_ns: u64,
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
    /// Inside its polls, running or blocked, but for what ran nested inside.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        self.running_ns.saturating_add(self.blocked_ns).saturating_sub(self.nested_ns)
    }

    /// Running, but for what ran nested inside.
    #[must_use]
    pub fn on_cpu_ns(&self) -> u64 {
        self.busy_ns().saturating_sub(self.blocked_ns)
    }
}

impl Task {
    pub(super) fn new(id: TaskId, vtable: u64, phase: Phase, parent: Parent, now: u64) -> Self {
        Self {
            id,
            vtable,
            kind: TaskKind::Unknown,
            runtime: false,
            parent,
            born: None,
            first_seen_ns: now,
            end: None,
            polls: 0,
            polls_unended: 0,
            wakes: 0,
            aborts: 0,
            times: Times::default(),
            waited: Vec::new(),
            awaiting: Wait::default(),
            pending: Wait::default(),
            phase,
            charged_to: now,
            on: None,
            owed_wake: None,
            unended: None,
            notes: None,
            kin: Kin::Nobody,
            is_server: false,
            is_client: false,
            is_stream: false,
            had_contact: false,
            is_shared: false,
            duties: None,
        }
    }

    /// What it was doing last, and since when, in nanoseconds.
    #[must_use]
    pub fn phase(&self) -> (Phase, u64) {
        (self.phase, self.charged_to)
    }

    pub(super) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Adds the time since the last charge to the current phase. An ended task has none.
    pub(super) fn charge(&mut self, now: u64) {
        if self.end.is_some() {
            return;
        }
        let since = now.saturating_sub(self.charged_to);
        self.charged_to = now;
        match self.phase {
            Phase::Running => self.times.running_ns += since,
            Phase::Ready => self.times.ready_ns += since,
            Phase::Waiting => self.times.waiting_ns += since,
        }
        if self.phase != Phase::Running {
            self.pending.ns += since;
            self.pending.until_ns = now;
        }
        if self.phase == Phase::Ready {
            self.pending.ready_ns += since;
        }
    }

    /// Charges a running task, and the time from `since` on as blocked; returns that time in nanoseconds. What
    /// was charged before stays: somebody may have counted on it.
    pub(super) fn block(&mut self, since: u64, now: u64) -> u64 {
        if self.end.is_some() {
            return 0;
        }
        let since = since.max(self.charged_to).min(now);
        self.charge(since);
        self.charged_to = now;
        self.times.blocked_ns += now - since;
        now - since
    }

    /// Since when it has been ready, if it is.
    pub(super) fn ready_since(&self) -> Option<u64> {
        (self.phase == Phase::Ready && self.end.is_none()).then_some(self.charged_to)
    }

    pub(super) fn enter(&mut self, phase: Phase, now: u64) {
        self.charge(now);
        if phase == Phase::Running {
            self.awaiting = std::mem::take(&mut self.pending);
        }
        self.phase = phase;
    }

    /// Ends the task. The first end stands, but one that says how replaces one that does not: a
    /// task can be found complete before the thread that completed it has reported so.
    pub(super) fn finish(&mut self, how: How, now: u64) {
        self.charge(now);
        match &mut self.end {
            None => self.end = Some(End { time_ns: now, how }),
            Some(end) if end.how == How::Unknown => end.how = how,
            Some(_) => {}
        }
    }
}
