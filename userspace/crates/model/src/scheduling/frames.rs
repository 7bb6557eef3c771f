//! How frames come and go, and what the innermost one says about who acts.

use crate::Graph;
use crate::ids::TaskIndex;
use crate::scheduling::thread::{Frame, FrameExit, FrameKind, MAX_FRAMES};
use crate::task::lifecycle::{How, Phase};
use asyncscope_trace::event::{At, Reach};

impl Graph {
    /// Drops the frames whose functions have returned.
    pub(crate) fn settle(&mut self, at: &At, reach: Reach) {
        let Some(thread) = self.scheduler.known_mut(at.tid) else {
            return;
        };
        thread.settle_completions(reach, at.sp);
        let kept = thread.frames.iter().rev();
        let gone = kept.take_while(|frame| reach.is_above(frame.sp, at.sp)).count();
        let keep = thread.frames.len() - gone;
        if gone > 0 {
            self.drop_frames(at.tid, keep);
        }
    }

    /// Drops all frames of a thread but the outermost `keep`: their ends were not seen.
    pub(crate) fn drop_frames(&mut self, tid: u32, keep: usize) {
        while let Some(mut frame) = self.scheduler.pop_frame(tid, keep) {
            self.drop_frame(tid, &mut frame);
        }
    }

    fn drop_frame(&mut self, tid: u32, frame: &mut Frame) {
        self.close(tid, frame, FrameExit::unseen());
        if frame.over.is_some() {
            self.settle_refused(frame);
            return;
        }
        match (frame.task, frame.kind) {
            // Nothing but the end follows such an entry.
            (Some(task), FrameKind::Cancel) => self.end_task(task, How::Cancelled),
            (Some(task), _) => self.leave(task, Phase::Waiting),
            (None, _) => {}
        }
    }

    /// A frame whose end was not seen, of a task that another thread has torn down, was no poll.
    fn settle_refused(&mut self, frame: &Frame) {
        let torn_down = |task: &TaskIndex| self.tasks[*task].end().is_some_and(|end| end.how == How::Cancelled);
        if let Some(task) = frame.task.filter(torn_down).filter(|_| frame.kind == FrameKind::Poll) {
            self.refuse_poll(task);
        }
    }

    /// Takes a popped frame's time off the frame below it and books it on the task.
    pub(crate) fn close(&mut self, tid: u32, frame: &mut Frame, close: FrameExit) {
        let end = frame.over.unwrap_or(self.clock.now);
        let took = end.saturating_sub(frame.start);
        if let Some(below) = self.thread(tid).frames.last_mut() {
            below.nested = below.nested.saturating_add(took);
        }
        let nested = frame.nested.min(took);
        if let Some(task) = frame.task.and_then(|index| self.tasks.get_mut(index)) {
            task.add_nested(nested);
        }
        if frame.kind == FrameKind::Poll {
            self.book_poll(tid, frame, end, nested, close);
        }
        self.held_no_more(frame, close.outcome);
    }

    pub(crate) fn push(&mut self, at: &At, frame: Frame) {
        if self.thread(at.tid).frames.len() >= MAX_FRAMES {
            self.drop_frames(at.tid, MAX_FRAMES - 1);
        }
        if let Some(task) = frame.task.and_then(|index| self.tasks.get_mut(index)) {
            let (id, ready_since) = (task.id, task.ready_since());
            task.set_on(Some(at.tid));
            task.enter(Phase::Running, self.clock.now);
            self.note_delay(frame.task, ready_since);
            if let Some(since) = ready_since.filter(|_| !self.scheduler.long_polls.polls().is_empty()) {
                self.scheduler.was_delayed(at.tid, id, since, self.clock.now);
            }
        }
        self.thread(at.tid).push(frame);
    }

    /// The task is not RUNNING where its frame says so, as another event proves.
    pub(crate) fn supersede(&mut self, task: TaskIndex) {
        let now = self.clock.now;
        let Some(tid) = self.tasks.get_mut(task).and_then(|task| task.set_on(None)) else {
            return;
        };
        let thread = self.thread(tid);
        if let Some(frame) = thread.holder(task).and_then(|place| thread.frames.get_mut(place)) {
            frame.over = Some(now);
        }
    }

    /// The frame in which the task is RUNNING.
    pub(crate) fn frame_holding(&mut self, task: TaskIndex) -> Option<&mut Frame> {
        let thread = self.scheduler.known_mut(self.tasks.get(task)?.on()?)?;
        let place = thread.holder(task)?;
        thread.frames.get_mut(place)
    }

    /// The task left RUNNING.
    pub(crate) fn leave(&mut self, task: TaskIndex, phase: Phase) {
        let now = self.clock.now;
        if let Some(task) = self.tasks.get_mut(task) {
            task.set_on(None);
            task.enter(phase, now);
        }
    }

    pub(crate) fn end_task(&mut self, index: TaskIndex, how: How) {
        self.supersede(index);
        let now = self.clock.now;
        let Some(ended) = self.tasks.get_mut(index) else {
            return;
        };
        let first = !ended.has_ended();
        ended.finish(how, now);
        if first {
            self.has_ended_now(index);
            self.served_to_the_end(index, how);
        }
    }

    /// The thread is outside of every poll but for a worker's own.
    pub(crate) fn at_rest(&mut self, tid: u32) {
        let epoch = self.clock.epoch;
        self.thread(tid).set_at_rest(epoch);
        self.thread(tid).completing.clear();
        let frames = &mut self.thread(tid).frames;
        let workers = frames.iter().take_while(|frame| frame.runtime).count();
        for frame in frames.iter_mut().take(workers) {
            frame.epoch = epoch;
        }
        let doubtful = frames.iter().rposition(|frame| frame.epoch != epoch);
        if doubtful.is_some() {
            self.drop_frames(tid, workers);
        }
    }

    /// Closes every frame, at the end of the recording.
    pub(crate) fn close_all(&mut self) {
        for tid in self.scheduler.tids() {
            while let Some(mut frame) = self.thread(tid).frames.pop() {
                self.close(tid, &mut frame, FrameExit::unseen());
                if frame.over.is_some() {
                    self.settle_refused(&frame);
                }
            }
        }
    }
}
