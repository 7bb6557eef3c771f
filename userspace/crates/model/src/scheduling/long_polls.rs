//! Long polls, and the tasks that could not be polled meanwhile.
//!
//! A task is *delayed* by a poll if it was ready while the poll went on, and the very thread that was inside the
//! poll took it afterwards: that thread could not have taken it earlier. A ready task that another thread took
//! may have been held up by the same poll, but nothing proves that it was.

use crate::scheduling::Scheduler;
use crate::scheduling::intervals::OffCpuAt;
use crate::scheduling::thread::{Frame, FrameKind};
use crate::task::table::Tasks;
use asyncscope_trace::event::TaskId;
use asyncscope_trace::facts::TaskKind;

/// Long polls that are kept.
const LONG_POLLS_MAX: usize = 1 << 16;
/// Delays that are kept of all of them together.
const DELAYS_MAX: usize = 1 << 20;
/// Polls of one thread that are looked at for one task that was ready.
const LOOK_BACK: usize = 256;

/// A poll that took long, but for the polls nested in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongPoll {
    /// The task.
    pub task: TaskId,
    /// The thread.
    pub thread: u32,
    /// The time at which it began, in nanoseconds.
    pub start_ns: u64,
    /// The time at which it ended; the end of the recording if it was not over then.
    pub end_ns: u64,
    /// `true` if it was not over at the end of the recording.
    pub open: bool,
    /// Nanoseconds of it in which the thread was in no poll nested in it.
    pub own_ns: u64,
    /// The part of these in which the thread was off the CPU; 0 where that is not watched.
    pub off_cpu_ns: u64,
    /// The part of that in which the kernel held the thread in a trap of asyncscope's.
    pub trap_ns: u64,
    /// The chain that the task awaited until it began: a key of [`crate::Graph::chain`].
    pub awaited: Option<u64>,
    /// The place at which the thread was off the CPU in it for longest.
    pub off_cpu_at: Option<OffCpuAt>,
    /// The tasks that it delayed, in the order in which the thread took them.
    pub delayed: Vec<Delayed>,
}

/// A task that a poll delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// The task.
    pub task: TaskId,
    /// Since when it was ready, or when the poll began if that was later, in nanoseconds. It was ready until the
    /// poll's end, and longer.
    pub since_ns: u64,
    /// The time at which the thread took it.
    pub taken_ns: u64,
}

/// All long polls, and what of them is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongPolls {
    /// From how many nanoseconds on a poll is kept; `None`: none is.
    min_ns: Option<u64>,
    polls: Vec<LongPoll>,
    delays: usize,
    /// Long polls that are not kept, because there were too many.
    pub polls_not_kept: u64,
    /// Delays that are not kept, because there were too many.
    pub delays_not_kept: u64,
    /// Long polls, and delays, in which events are missing: they may have been otherwise, and are left out.
    pub doubtful: u64,
}

impl LongPoll {
    /// Returns how long it took, in nanoseconds.
    #[must_use]
    pub fn took_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Returns how long it kept one task, in nanoseconds.
    #[must_use]
    pub fn delay_ns(&self, delayed: &Delayed) -> u64 {
        self.end_ns.saturating_sub(delayed.since_ns)
    }

    /// Returns how long it kept all of them together, in nanoseconds.
    #[must_use]
    pub fn delays_ns(&self) -> u64 {
        self.delayed.iter().map(|delayed| self.delay_ns(delayed)).fold(0, u64::saturating_add)
    }
}

/// A poll that is over, or goes on at the end of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollSpan {
    pub(crate) end_ns: u64,
    /// Nanoseconds of it in which the thread was in no poll nested in it.
    pub(crate) own_ns: u64,
    /// It goes on.
    pub(crate) open: bool,
}

impl LongPolls {
    pub(crate) fn new(min_ns: Option<u64>) -> Self {
        Self { min_ns, ..Self::default() }
    }

    /// Returns the long polls, by their ends.
    #[must_use]
    pub fn polls(&self) -> &[LongPoll] {
        &self.polls
    }

    /// Returns `true` if a poll is kept in which the thread spent this many nanoseconds.
    #[inline]
    pub(crate) fn is_long(&self, own_ns: u64) -> bool {
        self.min_ns.is_some_and(|min_ns| own_ns >= min_ns)
    }

    /// Leaves out whatever lies in a gap, from one time to another each: a gap is reported at its end, when much has
    /// been taken for certain.
    pub(crate) fn leave_out_doubtful(&mut self, mut gaps: Vec<(u64, u64)>) {
        gaps.sort_unstable();
        // The latest end of those up to each: they overlap.
        let mut latest = 0;
        for (_, until) in &mut gaps {
            latest = latest.max(*until);
            *until = latest;
        }
        let is_sure = |from: u64, to: u64| {
            let before = gaps.partition_point(|&(since, _)| since <= to);
            before.checked_sub(1).and_then(|last| gaps.get(last)).is_none_or(|&(_, until)| until < from)
        };
        let all = self.polls.len();
        self.polls.retain(|poll| is_sure(poll.start_ns, poll.end_ns));
        self.doubtful += (all - self.polls.len()) as u64;
        for poll in &mut self.polls {
            let all = poll.delayed.len();
            poll.delayed.retain(|delayed| is_sure(delayed.since_ns, delayed.taken_ns));
            self.doubtful += (all - poll.delayed.len()) as u64;
        }
    }
}

impl Scheduler {
    /// Keeps the frame's poll, which took long; those of blocking closures, which are there to block, are left out.
    pub(crate) fn keep_long_poll(&mut self, tasks: &Tasks, epoch: u64, thread: u32, frame: &Frame, span: PollSpan) {
        let PollSpan { end_ns, own_ns, open } = span;
        if frame.kind != FrameKind::Poll || frame.runtime {
            return;
        }
        let task = frame.task.and_then(|index| tasks.get(index));
        let Some(task) = task.filter(|task| task.kind != TaskKind::Blocking) else {
            return;
        };
        if frame.epoch != epoch {
            self.long_polls.doubtful += 1;
            return;
        }
        if self.long_polls.polls.len() >= LONG_POLLS_MAX {
            self.long_polls.polls_not_kept += 1;
            return;
        }
        let place = self.long_polls.polls.len();
        self.long_polls.polls.push(LongPoll {
            task: task.id,
            thread,
            start_ns: frame.start,
            end_ns,
            open,
            own_ns,
            off_cpu_ns: frame.off_cpu.min(own_ns),
            trap_ns: frame.trapped.min(own_ns),
            awaited: frame.awaited,
            off_cpu_at: frame.off_cpu_at,
            delayed: Vec::new(),
        });
        self.thread(thread).long_polls.push(place);
    }

    /// Takes that the thread takes a task that has been ready since `since`: whatever long polls the thread was inside
    /// of meanwhile delayed the task.
    pub(crate) fn was_delayed(&mut self, thread: u32, task: TaskId, since: u64, taken_ns: u64) {
        let Self { threads, long_polls, .. } = self;
        let Some(thread) = threads.get(&thread) else { return };
        let is_over = |&place: &usize| long_polls.polls.get(place).is_none_or(|poll| poll.end_ns <= since);
        let meanwhile = thread.long_polls.split_at(thread.long_polls.partition_point(is_over)).1;
        long_polls.delays_not_kept += meanwhile.len().saturating_sub(LOOK_BACK) as u64;
        for &place in meanwhile.iter().rev().take(LOOK_BACK) {
            let Some(poll) = long_polls.polls.get_mut(place) else { continue };
            if long_polls.delays >= DELAYS_MAX {
                long_polls.delays_not_kept += 1;
                continue;
            }
            long_polls.delays += 1;
            poll.delayed.push(Delayed { task, since_ns: since.max(poll.start_ns), taken_ns });
        }
    }
}
