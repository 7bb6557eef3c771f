//! One thread: the frames it is inside of, and what is known of the stack below them.

use crate::ids::TaskIndex;
use crate::scheduling::intervals::{OffCpuAt, Outcome};
use crate::task::lifecycle::Why;
use crate::task::segment::SegmentMarks;
use asyncscope_trace::event::{Reach, State, TaskId};
use probe_common::record::state::{JOIN_INTEREST, JOIN_WAKER};

/// Frames kept for a thread. Real programs nest a handful.
pub(crate) const MAX_FRAMES: usize = 256;

/// A thread of the target.
#[derive(Debug)]
pub(crate) struct Thread {
    /// Innermost last.
    pub(crate) frames: Vec<Frame>,
    /// Completions that may go on, innermost last.
    pub(crate) completing: Vec<Completing>,
    /// The epoch in which the thread was known to be outside of every poll below `frames`.
    base: Option<u64>,
    /// `true` if a task was polled here outside of every other: the thread runs an executor.
    pub(crate) hosts_tasks: bool,
    /// Entries into `raw::poll` that were no polls and got no frame, and whose exits are to come.
    pub(crate) entries_ignored: u32,
    /// The task of the last wake that was left out of the graph. A `LocalSet` schedules it next,
    /// which must not pass for its spawn.
    pub(crate) passed_over: Option<TaskId>,
    /// The time at which it was last seen to run, in nanoseconds.
    pub(crate) active_ns: u64,
    /// The places of its long polls among the graph's, by their ends.
    pub(crate) long_polls: Vec<usize>,
}

/// One activation of `raw::poll` or `Vtable::shutdown`.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The task's index; `None` where its id could not be read.
    pub(crate) task: Option<TaskIndex>,
    pub(crate) header: u64,
    pub(crate) runtime: bool,
    pub(crate) kind: FrameKind,
    /// The time at which it was entered, in nanoseconds.
    pub(crate) start: u64,
    /// The stack pointer at the entry.
    pub(crate) sp: u64,
    pub(crate) panics: u32,
    /// Nanoseconds spent in frames directly above this one.
    pub(crate) nested: u64,
    /// Nanoseconds in which the thread was off the CPU in it, but not in frames above.
    pub(crate) off_cpu: u64,
    /// The part of these in traps of asyncscope's.
    pub(crate) trapped: u64,
    /// The epoch in which it was pushed.
    pub(crate) epoch: u64,
    /// The time at which another event proved that the task is no longer RUNNING here, though the thread has not
    /// said so yet: its report is written after the transition and may come late.
    pub(crate) over: Option<u64>,
    /// Its doings for requests since it last woke a task of one.
    pub(crate) marks: SegmentMarks,
    /// The await chain that its task waited at until it began.
    pub(crate) awaited: Option<u64>,
    /// The place at which the thread was off the CPU in it for longest.
    pub(crate) off_cpu_at: Option<OffCpuAt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
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
    pub(crate) fn new(base_certain: bool) -> Self {
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

    /// Returns the reason why the thread may be inside a poll that has no frame; `None` if it is not.
    pub(crate) fn doubt(&self, epoch: u64) -> Option<Why> {
        match self.base {
            Some(certain) if certain == epoch => None,
            Some(_) => Some(Why::Gap),
            None => Some(Why::BeforeAttach),
        }
    }

    /// From now on the thread is outside of every poll but for the frames it has.
    pub(crate) fn set_at_rest(&mut self, epoch: u64) {
        self.base = Some(epoch);
    }

    /// The thread enters a function.
    pub(crate) fn push(&mut self, frame: Frame) {
        self.leave_completions();
        self.frames.push(frame);
    }

    /// Returns the position of the innermost frame of this task that still holds it.
    pub(crate) fn holder(&self, task: TaskIndex) -> Option<usize> {
        let holds = |frame: &Frame| frame.task == Some(task) && frame.over.is_none();
        self.frames.iter().rposition(holds)
    }
}

impl Frame {
    /// Returns `true` if it is a task's own, and the task is still RUNNING here.
    pub(crate) fn holds(&self) -> bool {
        !self.runtime && self.over.is_none()
    }
}

/// The one who acts on a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The task with this index.
    Task(TaskIndex),
    /// A worker, outside of the tasks it polls.
    Worker,
    /// The thread, outside of every poll.
    Thread,
    Unknown(Why),
}

/// The way in which a frame was left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameExit {
    pub(crate) outcome: Outcome,
    pub(crate) woken: bool,
    pub(crate) end_seen: bool,
}

impl FrameExit {
    /// The end was not seen.
    pub(crate) const fn unseen() -> Self {
        Self { outcome: Outcome::Unknown, woken: false, end_seen: false }
    }
}

/// A completion that may go on.
#[derive(Debug)]
pub(crate) struct Completing {
    /// The task's index; `None` where its id could not be read.
    pub(crate) task: Option<TaskIndex>,
    /// The stack pointer at the poll's entry.
    pub(crate) sp: u64,
    pub(crate) epoch: u64,
    /// The number of its thread's frames that it lies in.
    pub(crate) depth: usize,
    pub(crate) what: Follows,
}

/// The act that follows a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// The output is dropped: tokio's `CONTEXT` reports that the task runs.
    Drop,
    /// The waker is used: tokio's `CONTEXT` reports that no task runs, but the wake is the task's.
    Wake,
}

impl Follows {
    /// Nothing does where the output may be read, and nobody waits for it.
    pub(crate) fn of(new: State) -> Option<Self> {
        match new.has(JOIN_INTEREST) {
            false => Some(Self::Drop),
            true => new.has(JOIN_WAKER).then_some(Self::Wake),
        }
    }
}

impl Thread {
    /// Drops the completions whose polls have returned, as an event's stack pointer shows.
    pub(crate) fn settle_completions(&mut self, reach: Reach, sp: u64) {
        self.completing.retain(|completing| !reach.is_above(completing.sp, sp));
        self.leave_completions();
    }

    /// Drops those whose polls lay in frames that are gone.
    pub(crate) fn leave_completions(&mut self) {
        if self.completing.is_empty() {
            return;
        }
        let depth = self.frames.len();
        self.completing.retain(|completing| completing.depth <= depth);
    }

    /// The one that may go on and that no frame lies in.
    pub(crate) fn innermost_completion(&self) -> Option<&Completing> {
        self.completing.last().filter(|completing| completing.depth == self.frames.len())
    }
}
