//! Polls: their starts, their ends, and the entries and ends that are none.

use serde::Serialize;

use super::Graph;
use super::life::{How, Phase, Unended};
use super::notes::Happened;
use super::setup::Detail;
use super::stretch::Marks;
use super::task::Task;
use super::thread::{Frame, FrameKind, MAX_FRAMES};
use asyncscope_trace::event::{At, Reach, State, TaskId, TaskRef};
use probe_common::record::state::{CANCELLED, COMPLETE, NOTIFIED, RUNNING};

/// A poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The task; `None` where its id could not be read.
    pub task: Option<TaskId>,
    /// The thread.
    pub thread: u32,
    /// When it began, in nanoseconds.
    pub start_ns: u64,
    /// When it ended; `None` if that was not seen.
    pub end_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the task was woken during it, and so is ready again.
    pub woken: bool,
    /// Nanoseconds of it in which the thread was inside another task's poll.
    pub nested_ns: u64,
    /// Nanoseconds of it in which the thread was blocked, but for those in nested polls; 0 where that is not
    /// watched.
    pub blocked_ns: u64,
    /// The part of these in which the kernel held the thread in a trap of asyncscope's.
    pub trap_ns: u64,
    /// Whether events are missing that may belong to it.
    pub doubtful: bool,
}

/// How a poll ended.
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

/// How a frame was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Close {
    pub(super) outcome: Outcome,
    pub(super) woken: bool,
    pub(super) end_seen: bool,
}

impl Graph {
    pub(super) fn poll_start(&mut self, at: &At, task: &TaskRef, state: State) {
        if state.has(COMPLETE)
            && let Some(index) = task.id.and_then(|id| self.index_of(id))
        {
            self.end_task(index, How::Unknown);
        }
        if state.has(RUNNING) || state.has(COMPLETE) || !self.claim(at.tid, task) {
            self.thread(at.tid).entries_ignored += 1;
            return;
        }
        let kind = if state.has(CANCELLED) { FrameKind::Cancel } else { FrameKind::Poll };
        self.enter(at, task, kind);
    }

    pub(super) fn shutdown(&mut self, at: &At, task: &TaskRef, state: State) {
        if state.has(COMPLETE) || state.has(RUNNING) {
            return;
        }
        let known = task.id.and_then(|id| self.index_of(id));
        match known.filter(|&index| self.is_held(index)) {
            Some(index) => self.contest(at, task, index),
            None if self.claim(at.tid, task) => self.enter(at, task, FrameKind::Shutdown),
            None => {}
        }
    }

    /// Another thread has entered `raw::poll` for the task, and not left it. Which of the two gets the
    /// task is seen by what follows: only a teardown ends the task on this thread.
    fn contest(&mut self, at: &At, task: &TaskRef, index: usize) {
        let (now, epoch) = (self.now, self.epoch);
        let runtime = self.setup.is_runtime(task.vtable);
        let kind = FrameKind::Contested;
        let (panics, nested, over) = (0, 0, Some(now));
        let frame = Frame {
            task: Some(index),
            header: task.header,
            runtime,
            kind,
            start: now,
            sp: at.sp,
            panics,
            nested,
            blocked: 0,
            trapped: 0,
            epoch,
            over,
            marks: Marks::default(),
            awaited: None,
            blocked_at: None,
        };
        if self.thread(at.tid).frames.len() >= MAX_FRAMES {
            self.drop_frames(at.tid, MAX_FRAMES - 1);
        }
        self.thread(at.tid).push(frame);
    }

    fn has_ended(&self, task: usize) -> bool {
        self.tasks.get(task).is_some_and(|task| task.has_ended())
    }

    /// Whether a frame that no gap puts in doubt holds the task.
    fn is_held(&self, task: usize) -> bool {
        let tid = self.tasks.get(task).and_then(Task::on);
        let thread = tid.and_then(|tid| self.threads.get(&tid));
        let frame = thread.and_then(|thread| thread.holder(task).and_then(|at| thread.frames.get(at)));
        frame.is_some_and(|frame| frame.epoch == self.epoch)
    }

    fn enter(&mut self, at: &At, task: &TaskRef, kind: FrameKind) {
        let known = task.id.and_then(|id| self.index_of(id));
        let is_new = task.id.is_some() && known.is_none();
        let index = known.or_else(|| self.find_or_add(task, Phase::Running));
        if let Some(index) = index {
            let unannounced = is_new || self.tasks[index].phase == Phase::Waiting;
            let counts = &mut self.tasks[index];
            counts.owe_wake(unannounced.then_some(self.epoch));
            counts.take_unended();
            counts.polls += u64::from(kind == FrameKind::Poll);
        }
        self.totals.polls += u64::from(kind == FrameKind::Poll);
        let runtime = self.setup.is_runtime(task.vtable);
        let marks = self.marks_at_entry(index);
        let thread = self.thread(at.tid);
        thread.hosts_tasks |= !runtime && thread.frames.is_empty();
        let frame = Frame {
            task: index,
            header: task.header,
            runtime,
            kind,
            start: self.now,
            sp: at.sp,
            panics: 0,
            nested: 0,
            blocked: 0,
            trapped: 0,
            epoch: self.epoch,
            over: None,
            marks,
            awaited: None,
            blocked_at: None,
        };
        self.push(at, frame);
    }

    /// What is known of the poll as it begins: the request whose task woke this one, if one did.
    fn marks_at_entry(&mut self, index: Option<usize>) -> Marks {
        let now = self.now;
        let Some(task) = index.and_then(|index| self.tasks.get_mut(index)) else {
            return Marks::new(now, None);
        };
        let ready_ns = task.ready_since().unwrap_or(now);
        let duties = task.if_duties();
        let (asked, askers) =
            duties.map(|duties| (duties.asked.take(), std::mem::take(&mut duties.askers))).unwrap_or_default();
        index.into_iter().for_each(|index| self.exchange_polled(index));
        Marks::at_entry(now, ready_ns, asked, askers)
    }

    /// Makes way for a new frame of the task: it is never RUNNING twice, so whatever frame still
    /// holds it is out of date. Says whether the task is alive.
    fn claim(&mut self, tid: u32, task: &TaskRef) -> bool {
        let Some(index) = task.id.and_then(|id| self.index_of(id)) else {
            return true;
        };
        if let Some(place) = self.thread(tid).holder(index) {
            self.drop_frames(tid, place);
        }
        self.supersede(index);
        !self.has_ended(index)
    }

    pub(super) fn poll_end(&mut self, at: &At, task: &TaskRef, old: State, new: State) {
        match self.frame_of(at.tid, task) {
            Some(place) => {
                self.drop_frames(at.tid, place + 1);
                if let Some(frame) = self.thread(at.tid).frames.pop() {
                    self.end_frame(at, frame, old, new);
                }
            }
            None => {
                self.settle(at, Reach::SameFunction);
                self.end_unmatched(task, old, new);
            }
        }
    }

    /// The innermost frame that this end of a poll belongs to. The id may be missing: a task may
    /// be freed the moment it leaves RUNNING.
    fn frame_of(&self, tid: u32, task: &TaskRef) -> Option<usize> {
        let index = task.id.map(|id| self.index_of(id));
        let fits = |frame: &Frame| {
            let same = index.is_none_or(|index| index == frame.task || frame.task.is_none());
            frame.header == task.header && same
        };
        self.threads.get(&tid)?.frames.iter().rposition(fits)
    }

    fn end_frame(&mut self, at: &At, mut frame: Frame, old: State, new: State) {
        let how = how_ended(&frame, old);
        let complete = new.has(COMPLETE);
        let close = Close {
            outcome: if complete { how.into() } else { Outcome::Pending },
            woken: !complete && new.has(NOTIFIED),
            end_seen: true,
        };
        self.close(at.tid, &mut frame, close);
        if let Some(task) = frame.task {
            if complete && matches!(frame.kind, FrameKind::Shutdown | FrameKind::Cancel | FrameKind::Contested) {
                self.refuse_poll(task);
            }
            match complete {
                true => self.end_task(task, how),
                false if frame.over.is_none() => self.leave(task, phase_after(new)),
                false => {}
            }
        }
        if complete {
            self.completes(at, &frame, new);
        }
    }

    /// A teardown of the task has ended on this thread: it held RUNNING, which only one thread can. An
    /// entry into `raw::poll` after which neither a poll nor its end was seen did not get it, then.
    pub(super) fn refuse_poll(&mut self, task: usize) {
        let Some(unended) = self.tasks.get_mut(task).and_then(Task::take_unended) else {
            return;
        };
        if unended.epoch != self.epoch {
            return;
        }
        self.tasks[task].refuse_poll();
        self.totals.polls -= 1;
        self.totals.polls_unended -= 1;
        if let Some(poll) = unended.poll.and_then(|poll| self.polls.get_mut(poll)) {
            poll.outcome = Outcome::Refused;
        }
    }

    /// The end of a poll that began before the attach, or in a gap.
    fn end_unmatched(&mut self, task: &TaskRef, old: State, new: State) {
        // Of a sampled run, none is expected.
        self.totals.unmatched_poll_ends += u64::from(!self.setup.sampled);
        let Some(index) = self.find_or_add(task, Phase::Running) else {
            return;
        };
        if new.has(COMPLETE) {
            let aborted = old.has(CANCELLED);
            let how = if aborted { How::AbortedWhileRunning } else { How::Completed };
            self.end_task(index, how);
        } else {
            self.supersede(index);
            self.leave(index, phase_after(new));
        }
    }

    pub(super) fn poll_exit(&mut self, tid: u32) {
        let thread = self.thread(tid);
        if thread.entries_ignored > 0 {
            thread.entries_ignored -= 1;
            return;
        }
        let Some(mut frame) = thread.frames.pop() else {
            return;
        };
        let close = Close { outcome: Outcome::Unknown, woken: false, end_seen: true };
        self.close(tid, &mut frame, close);
        match frame.task {
            Some(task) if matches!(frame.kind, FrameKind::Cancel | FrameKind::Shutdown) => {
                self.end_task(task, How::Cancelled);
            }
            Some(task) if frame.over.is_none() => self.leave(task, Phase::Waiting),
            _ => {}
        }
    }

    pub(super) fn panic(&mut self, tid: u32) {
        if let Some(frame) = self.thread(tid).frames.last_mut() {
            frame.panics = frame.panics.saturating_add(1);
            let (task, time_ns) = (frame.task, self.now);
            if let Some(task) = task {
                self.note(task, Happened::Panic { time_ns, thread: tid });
            }
        }
    }

    /// Books a poll that took from its frame's start to `end`.
    pub(super) fn book_poll(&mut self, thread: u32, frame: &Frame, end: u64, nested: u64, close: Close) {
        let took = end.saturating_sub(frame.start);
        let task = frame.task.and_then(|index| self.tasks.get_mut(index));
        let id = task.as_ref().map(|task| task.id);
        if let Some(task) = task {
            task.add_poll(close.end_seen.then_some(took));
        }
        self.keep_long_poll(thread, frame, end, nested, close);
        self.totals.polls_unended += u64::from(!close.end_seen);
        if close.end_seen {
            self.note_poll(frame.task, frame.start, end, thread);
        }
        if let Some(task) = frame.task.filter(|_| !close.end_seen).and_then(|index| self.tasks.get_mut(index)) {
            let poll = (self.setup.detail == Detail::Intervals).then_some(self.polls.len());
            task.set_unended(Unended { poll, epoch: frame.epoch });
        }
        if self.setup.detail == Detail::Intervals {
            self.fresh.polls.push((self.now, self.polls.len()));
            self.polls.push(Poll {
                task: id,
                thread,
                start_ns: frame.start,
                end_ns: close.end_seen.then_some(end),
                outcome: close.outcome,
                woken: close.woken,
                nested_ns: nested,
                blocked_ns: frame.blocked.min(took),
                trap_ns: frame.trapped.min(took),
                doubtful: frame.epoch != self.epoch,
            });
        }
    }
}

fn phase_after(new: State) -> Phase {
    if new.has(NOTIFIED) { Phase::Ready } else { Phase::Waiting }
}

fn how_ended(frame: &Frame, old: State) -> How {
    match frame.kind {
        FrameKind::Cancel | FrameKind::Shutdown | FrameKind::Contested => How::Cancelled,
        _ if frame.panics > 0 => How::Panicked,
        _ if old.has(CANCELLED) => How::AbortedWhileRunning,
        _ => How::Completed,
    }
}
