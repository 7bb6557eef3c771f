//! Polls: their starts, their ends, and the entries and ends that are none.

use crate::Graph;
use crate::config::Detail;
use crate::ids::TaskIndex;
use crate::scheduling::intervals::{Outcome, Poll};
use crate::scheduling::long_polls::PollSpan;
use crate::scheduling::thread::{Frame, FrameExit, FrameKind, MAX_FRAMES};
use crate::task::Task;
use crate::task::history::Happened;
use crate::task::lifecycle::{How, Phase, Unended};
use crate::task::segment::SegmentMarks;
use asyncscope_trace::event::{At, Reach, State, TaskRef};
use probe_common::record::state::{CANCELLED, COMPLETE, NOTIFIED, RUNNING};

impl Graph {
    pub(crate) fn poll_start(&mut self, at: &At, task: &TaskRef, state: State) {
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

    pub(crate) fn shutdown(&mut self, at: &At, task: &TaskRef, state: State) {
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
    fn contest(&mut self, at: &At, task: &TaskRef, index: TaskIndex) {
        let (now, epoch) = (self.clock.now, self.clock.epoch);
        let runtime = self.config.is_runtime(task.vtable);
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
            off_cpu: 0,
            trapped: 0,
            epoch,
            over,
            marks: SegmentMarks::default(),
            awaited: None,
            off_cpu_at: None,
        };
        if self.thread(at.tid).frames.len() >= MAX_FRAMES {
            self.drop_frames(at.tid, MAX_FRAMES - 1);
        }
        self.thread(at.tid).push(frame);
    }

    fn has_ended(&self, task: TaskIndex) -> bool {
        self.tasks.get(task).is_some_and(Task::has_ended)
    }

    /// Returns `true` if a frame that no gap puts in doubt holds the task.
    fn is_held(&self, task: TaskIndex) -> bool {
        let tid = self.tasks.get(task).and_then(Task::on);
        let thread = tid.and_then(|tid| self.scheduler.known(tid));
        let frame = thread.and_then(|thread| thread.holder(task).and_then(|at| thread.frames.get(at)));
        frame.is_some_and(|frame| frame.epoch == self.clock.epoch)
    }

    fn enter(&mut self, at: &At, task: &TaskRef, kind: FrameKind) {
        let known = task.id.and_then(|id| self.index_of(id));
        let is_new = task.id.is_some() && known.is_none();
        let index = known.or_else(|| self.find_or_add(task, Phase::Running));
        if let Some(index) = index {
            let unannounced = is_new || self.tasks[index].phase == Phase::Waiting;
            let counts = &mut self.tasks[index];
            counts.owe_wake(unannounced.then_some(self.clock.epoch));
            counts.take_unended();
            counts.polls += u64::from(kind == FrameKind::Poll);
        }
        self.totals.polls += u64::from(kind == FrameKind::Poll);
        let runtime = self.config.is_runtime(task.vtable);
        let marks = self.marks_at_entry(index);
        let thread = self.thread(at.tid);
        thread.hosts_tasks |= !runtime && thread.frames.is_empty();
        let frame = Frame {
            task: index,
            header: task.header,
            runtime,
            kind,
            start: self.clock.now,
            sp: at.sp,
            panics: 0,
            nested: 0,
            off_cpu: 0,
            trapped: 0,
            epoch: self.clock.epoch,
            over: None,
            marks,
            awaited: None,
            off_cpu_at: None,
        };
        self.push(at, frame);
    }

    /// Returns what is known of the poll as it begins: the request whose task woke this one, if one did.
    fn marks_at_entry(&mut self, index: Option<TaskIndex>) -> SegmentMarks {
        let now = self.clock.now;
        let Some(task) = index.and_then(|index| self.tasks.get_mut(index)) else {
            return SegmentMarks::new(now);
        };
        let ready_ns = task.ready_since().unwrap_or(now);
        let role = task.http_role_mut();
        let (asked, askers) =
            role.map(|role| (role.asked.take(), std::mem::take(&mut role.askers))).unwrap_or_default();
        index.into_iter().for_each(|index| self.exchange_polled(index));
        SegmentMarks::at_entry(now, ready_ns, asked, askers)
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

    pub(crate) fn poll_end(&mut self, at: &At, task: &TaskRef, old: State, new: State) {
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
        self.scheduler.known(tid)?.frames.iter().rposition(fits)
    }

    fn end_frame(&mut self, at: &At, mut frame: Frame, old: State, new: State) {
        let how = how_ended(&frame, old);
        let complete = new.has(COMPLETE);
        let close = FrameExit {
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
            self.scheduler.completes(at, &frame, new);
        }
    }

    /// A teardown of the task has ended on this thread: it held RUNNING, which only one thread can. An
    /// entry into `raw::poll` after which neither a poll nor its end was seen did not get it, then.
    pub(crate) fn refuse_poll(&mut self, task: TaskIndex) {
        let Some(unended) = self.tasks.get_mut(task).and_then(Task::take_unended) else {
            return;
        };
        if unended.epoch != self.clock.epoch {
            return;
        }
        self.tasks[task].refuse_poll();
        self.totals.polls -= 1;
        self.totals.polls_unended -= 1;
        if let Some(poll) = unended.poll.and_then(|poll| self.scheduler.polls.get_mut(poll)) {
            poll.outcome = Outcome::Refused;
        }
    }

    /// The end of a poll that began before the attach, or in a gap.
    fn end_unmatched(&mut self, task: &TaskRef, old: State, new: State) {
        // Of a sampled run, none is expected.
        self.totals.unmatched_poll_ends += u64::from(!self.config.sampled);
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

    pub(crate) fn poll_exit(&mut self, tid: u32) {
        let thread = self.thread(tid);
        if thread.entries_ignored > 0 {
            thread.entries_ignored -= 1;
            return;
        }
        let Some(mut frame) = thread.frames.pop() else {
            return;
        };
        let close = FrameExit { outcome: Outcome::Unknown, woken: false, end_seen: true };
        self.close(tid, &mut frame, close);
        match frame.task {
            Some(task) if matches!(frame.kind, FrameKind::Cancel | FrameKind::Shutdown) => {
                self.end_task(task, How::Cancelled);
            }
            Some(task) if frame.over.is_none() => self.leave(task, Phase::Waiting),
            _ => {}
        }
    }

    pub(crate) fn panic(&mut self, tid: u32) {
        if let Some(frame) = self.thread(tid).frames.last_mut() {
            frame.panics = frame.panics.saturating_add(1);
            let (task, time_ns) = (frame.task, self.clock.now);
            if let Some(task) = task {
                self.note(task, Happened::Panic { time_ns, thread: tid });
            }
        }
    }

    /// Books a poll that took from its frame's start to `end`.
    pub(crate) fn book_poll(&mut self, thread: u32, frame: &Frame, end: u64, nested: u64, close: FrameExit) {
        let took = end.saturating_sub(frame.start);
        let task = frame.task.and_then(|index| self.tasks.get_mut(index));
        let id = task.as_ref().map(|task| task.id);
        if let Some(task) = task {
            task.add_poll(close.end_seen.then_some(took));
        }
        let open = !close.end_seen && self.finished && frame.over.is_none();
        let own_ns = took.saturating_sub(nested);
        if self.scheduler.long_polls.is_long(own_ns) && (close.end_seen || open) {
            let span = PollSpan { end_ns: end, own_ns, open };
            self.scheduler.keep_long_poll(&self.tasks, self.clock.epoch, thread, frame, span);
        }
        self.totals.polls_unended += u64::from(!close.end_seen);
        if close.end_seen {
            self.note_poll(frame.task, frame.start, end, thread);
        }
        if let Some(task) = frame.task.filter(|_| !close.end_seen).and_then(|index| self.tasks.get_mut(index)) {
            let poll = (self.config.detail == Detail::Intervals).then_some(self.scheduler.polls.len());
            task.set_unended(Unended { poll, epoch: frame.epoch });
        }
        if self.config.detail == Detail::Intervals {
            self.undo.polled(self.clock.now, self.scheduler.polls.len());
            self.scheduler.polls.push(Poll {
                task: id,
                thread,
                start_ns: frame.start,
                end_ns: close.end_seen.then_some(end),
                outcome: close.outcome,
                woken: close.woken,
                nested_ns: nested,
                off_cpu_ns: frame.off_cpu.min(took),
                trap_ns: frame.trapped.min(took),
                doubtful: frame.epoch != self.clock.epoch,
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
        FrameKind::Poll => How::Completed,
    }
}
