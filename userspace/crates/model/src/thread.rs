//! One thread: the frames it is inside of, and what is known of the stack below them.

use super::blocking::BlockedAt;
use super::completion::Completing;
use super::life::Why;
use super::stretch::Marks;
use asyncscope_trace::event::TaskId;

/// Frames kept for a thread. Real programs nest a handful.
pub(super) const MAX_FRAMES: usize = 256;

/// A thread of the target.
#[derive(Debug)]
pub(super) struct Thread {
    /// Innermost last.
    pub(super) frames: Vec<Frame>,
    /// Completions that may go on, innermost last.
    pub(super) completing: Vec<Completing>,
    /// The epoch in which the thread was known to be outside of every poll below `frames`.
    base: Option<u64>,
    /// Whether a task was polled here outside of every other: the thread runs an executor.
    pub(super) hosts_tasks: bool,
    /// Entries into `raw::poll` that were no polls and got no frame, and whose exits are to come.
    pub(super) entries_ignored: u32,
    /// The task of the last wake that was left out of the graph. A `LocalSet` schedules it next,
    /// which must not pass for its spawn.
    pub(super) passed_over: Option<TaskId>,
    /// When it was last seen to run, in nanoseconds.
    pub(super) active_ns: u64,
    /// The places of its long polls among the graph's, by their ends.
    pub(super) long_polls: Vec<usize>,
}

/// One activation of `raw::poll` or `Vtable::shutdown`.
#[derive(Debug)]
pub(super) struct Frame {
    /// The task's index; `None` where its id could not be read.
    pub(super) task: Option<usize>,
    pub(super) header: u64,
    pub(super) runtime: bool,
    pub(super) kind: FrameKind,
    /// When it was entered, in nanoseconds.
    pub(super) start: u64,
    /// The stack pointer at the entry.
    pub(super) sp: u64,
    pub(super) panics: u32,
    /// Nanoseconds spent in frames directly above this one.
    pub(super) nested: u64,
    /// Nanoseconds in which the thread was blocked in it, but not in frames above.
    pub(super) blocked: u64,
    /// The part of these in traps of asyncscope's.
    pub(super) trapped: u64,
    /// The epoch in which it was pushed.
    pub(super) epoch: u64,
    /// When another event proved that the task is no longer RUNNING here, though the thread has not
    /// said so yet: its report is written after the transition and may come late.
    pub(super) over: Option<u64>,
    /// What it did for requests since it last woke a task of one.
    pub(super) marks: Marks,
    /// What its task awaited until it began: a chain.
    pub(super) awaited: Option<u64>,
    /// Where the thread was blocked in it for longest.
    pub(super) blocked_at: Option<BlockedAt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// A poll.
    Poll,
    /// An entry into `raw::poll` that drops the future of a cancelled task.
    Cancel,
    /// `Vtable::shutdown`.
    Shutdown,
    /// `Vtable::shutdown`, while another thread was between its entry into `raw::poll` and its
    /// transition to RUNNING: only one of the two holds the task.
    Contested,
}

impl Thread {
    pub(super) fn new(base_certain: bool) -> Self {
        Self {
            frames: Vec::new(),
            completing: Vec::new(),
            base: base_certain.then_some(0),
            hosts_tasks: false,
            entries_ignored: 0,
            passed_over: None,
            active_ns: 0,
            long_polls: Vec::new(),
        }
    }

    /// Why the thread may be inside a poll that has no frame; `None` if it is not.
    pub(super) fn doubt(&self, epoch: u64) -> Option<Why> {
        match self.base {
            Some(certain) if certain == epoch => None,
            Some(_) => Some(Why::Gap),
            None => Some(Why::BeforeAttach),
        }
    }

    /// From now on the thread is outside of every poll but for the frames it has.
    pub(super) fn set_at_rest(&mut self, epoch: u64) {
        self.base = Some(epoch);
    }

    /// The thread enters a function.
    pub(super) fn push(&mut self, frame: Frame) {
        self.leave_completions();
        self.frames.push(frame);
    }

    /// Where the innermost frame of this task is that still holds it.
    pub(super) fn holder(&self, task: usize) -> Option<usize> {
        let holds = |frame: &Frame| frame.task == Some(task) && frame.over.is_none();
        self.frames.iter().rposition(holds)
    }
}

impl Frame {
    /// Whether it is a task's own, and the task is still RUNNING here.
    pub(super) fn holds(&self) -> bool {
        !self.runtime && self.over.is_none()
    }
}
