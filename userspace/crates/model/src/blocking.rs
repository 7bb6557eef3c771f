//! Long polls, and the tasks that could not be polled meanwhile.
//!
//! A task is *delayed* by a poll if it was ready while the poll went on, and the very thread that was inside the
//! poll took it afterwards: that thread could not have taken it earlier. A ready task that another thread took
//! may have been held up by the same poll, but nothing proves that it was.

use super::Graph;
use super::poll::Close;
use super::thread::{Frame, FrameKind};
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
    /// When it began, in nanoseconds.
    pub start_ns: u64,
    /// When it ended; the end of the recording if it was not over then.
    pub end_ns: u64,
    /// Whether it was not over at the end of the recording.
    pub open: bool,
    /// Nanoseconds of it in which the thread was in no poll nested in it.
    pub own_ns: u64,
    /// The part of these in which the thread was blocked; 0 where that is not watched.
    pub blocked_ns: u64,
    /// The part of that in which the kernel held the thread in a trap of asyncscope's.
    pub trap_ns: u64,
    /// What the task awaited until it began: a chain in [`Graph::chain`].
    pub awaited: Option<u64>,
    /// Where the thread was blocked in it.
    pub blocked_at: Option<BlockedAt>,
    /// The tasks that it delayed, in the order in which the thread took them.
    pub delayed: Vec<Delayed>,
}

/// The longest that a thread was blocked in a poll, of those times of which it is known where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockedAt {
    /// How long, in nanoseconds.
    pub ns: u64,
    /// Where.
    pub place: BlockedIn,
}

/// Where a thread was blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockedIn {
    /// In a trap of asyncscope's.
    Trap,
    /// At this stack: a key of [`super::Samples::stack`].
    Stack(u64),
}

impl BlockedIn {
    /// A stack; `None` of 0, which stands for none.
    pub(super) fn stack(key: u64) -> Option<Self> {
        (key != 0).then_some(Self::Stack(key))
    }
}

impl BlockedAt {
    /// The stack, if it is one.
    #[must_use]
    pub fn stack(self) -> Option<u64> {
        if let BlockedIn::Stack(key) = self.place { Some(key) } else { None }
    }
}

/// A task that a poll delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// The task.
    pub task: TaskId,
    /// Since when it was ready, or when the poll began if that was later, in nanoseconds. It was ready until the
    /// poll's end, and longer.
    pub since_ns: u64,
    /// When the thread took it.
    pub taken_ns: u64,
}

/// All long polls, and what of them is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocking {
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
    /// How long it took.
    #[must_use]
    pub fn took_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// How long it kept one task.
    #[must_use]
    pub fn delay_ns(&self, delayed: &Delayed) -> u64 {
        self.end_ns.saturating_sub(delayed.since_ns)
    }

    /// How long it kept all of them together.
    #[must_use]
    pub fn delays_ns(&self) -> u64 {
        self.delayed.iter().map(|delayed| self.delay_ns(delayed)).fold(0, u64::saturating_add)
    }
}

impl Blocking {
    /// The long polls, by their ends.
    #[must_use]
    pub fn polls(&self) -> &[LongPoll] {
        &self.polls
    }
}

impl Graph {
    /// The long polls, where they are wanted; those of blocking closures, which are there to block, left out.
    #[must_use]
    pub fn blocking(&self) -> &Blocking {
        &self.blocking
    }

    /// Keeps a poll that took long. The frame is that of the poll, which is over, or goes on at the end of all.
    pub(super) fn keep_long_poll(&mut self, thread: u32, frame: &Frame, end: u64, nested: u64, close: Close) {
        let Some(min_ns) = self.setup.long_polls_ns else { return };
        let open = !close.end_seen && self.finished && frame.over.is_none();
        let own_ns = end.saturating_sub(frame.start).saturating_sub(nested);
        let is_poll = frame.kind == FrameKind::Poll && !frame.runtime && (close.end_seen || open);
        let Some(task) = frame.task.and_then(|index| self.tasks.get(index)).filter(|_| is_poll && own_ns >= min_ns)
        else {
            return;
        };
        if task.kind == TaskKind::Blocking {
            return;
        }
        if frame.epoch != self.epoch {
            self.blocking.doubtful += 1;
            return;
        }
        if self.blocking.polls.len() >= LONG_POLLS_MAX {
            self.blocking.polls_not_kept += 1;
            return;
        }
        let place = self.blocking.polls.len();
        self.blocking.polls.push(LongPoll {
            task: task.id,
            thread,
            start_ns: frame.start,
            end_ns: end,
            open,
            own_ns,
            blocked_ns: frame.blocked.min(own_ns),
            trap_ns: frame.trapped.min(own_ns),
            awaited: frame.awaited,
            blocked_at: frame.blocked_at,
            delayed: Vec::new(),
        });
        self.thread(thread).long_polls.push(place);
    }

    /// The thread takes a task that has been ready for a while: whatever long polls it was inside of meanwhile
    /// delayed the task.
    pub(super) fn was_delayed(&mut self, thread: u32, task: TaskId, since: u64) {
        let taken_ns = self.now;
        let Some(thread) = self.threads.get(&thread) else { return };
        let is_over = |&place: &usize| self.blocking.polls.get(place).is_none_or(|poll| poll.end_ns <= since);
        let meanwhile = thread.long_polls.split_at(thread.long_polls.partition_point(is_over)).1;
        self.blocking.delays_not_kept += meanwhile.len().saturating_sub(LOOK_BACK) as u64;
        for &place in meanwhile.iter().rev().take(LOOK_BACK) {
            let Some(poll) = self.blocking.polls.get_mut(place) else { continue };
            if self.blocking.delays >= DELAYS_MAX {
                self.blocking.delays_not_kept += 1;
                continue;
            }
            self.blocking.delays += 1;
            poll.delayed.push(Delayed { task, since_ns: since.max(poll.start_ns), taken_ns });
        }
    }

    /// Leaves out whatever lies in a gap: a gap is told of at its end, when much has been taken for certain.
    pub(super) fn leave_out_doubtful_delays(&mut self) {
        let mut gaps: Vec<(u64, u64)> = self.gaps.iter().map(|gap| (gap.since_ns, gap.until_ns)).collect();
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
        let blocking = &mut self.blocking;
        let all = blocking.polls.len();
        blocking.polls.retain(|poll| is_sure(poll.start_ns, poll.end_ns));
        blocking.doubtful += (all - blocking.polls.len()) as u64;
        for poll in &mut blocking.polls {
            let all = poll.delayed.len();
            poll.delayed.retain(|delayed| is_sure(delayed.since_ns, delayed.taken_ns));
            blocking.doubtful += (all - poll.delayed.len()) as u64;
        }
    }
}
