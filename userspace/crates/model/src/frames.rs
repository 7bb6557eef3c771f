//! How frames come and go, and what the innermost one says about who acts.

use super::Graph;
use super::life::{How, Phase, Why};
use super::poll::{Close, Outcome};
use super::thread::{Frame, FrameKind, MAX_FRAMES};
use asyncscope_trace::event::{At, Reach};

/// Who acts on a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// The task with this index.
    Task(usize),
    /// A worker, outside of the tasks it polls.
    Worker,
    /// The thread, outside of every poll.
    Thread,
    Unknown(Why),
}

impl Graph {
    /// Drops the frames whose functions have returned.
    pub(super) fn settle(&mut self, at: &At, reach: Reach) {
        let Some(thread) = self.threads.get_mut(&at.tid) else {
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
    pub(super) fn drop_frames(&mut self, tid: u32, keep: usize) {
        while self.thread(tid).frames.len() > keep {
            if let Some(mut frame) = self.thread(tid).frames.pop() {
                self.drop_frame(tid, &mut frame);
            }
        }
    }

    fn drop_frame(&mut self, tid: u32, frame: &mut Frame) {
        self.close(tid, frame, Close::unseen());
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
        let torn_down = |task: &usize| self.tasks[*task].end().is_some_and(|end| end.how == How::Cancelled);
        if let Some(task) = frame.task.filter(torn_down).filter(|_| frame.kind == FrameKind::Poll) {
            self.refuse_poll(task);
        }
    }

    /// Takes a popped frame's time off the frame below it and books it on the task.
    pub(super) fn close(&mut self, tid: u32, frame: &mut Frame, close: Close) {
        let end = frame.over.unwrap_or(self.now);
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

    pub(super) fn push(&mut self, at: &At, frame: Frame) {
        if self.thread(at.tid).frames.len() >= MAX_FRAMES {
            self.drop_frames(at.tid, MAX_FRAMES - 1);
        }
        if let Some(task) = frame.task.and_then(|index| self.tasks.get_mut(index)) {
            let (id, ready_since) = (task.id, task.ready_since());
            task.set_on(Some(at.tid));
            task.enter(Phase::Running, self.now);
            self.note_delay(frame.task, ready_since);
            if let Some(since) = ready_since {
                self.was_delayed(at.tid, id, since);
            }
        }
        self.thread(at.tid).push(frame);
    }

    /// The task is not RUNNING where its frame says so, as another event proves.
    pub(super) fn supersede(&mut self, task: usize) {
        let now = self.now;
        let Some(tid) = self.tasks.get_mut(task).and_then(|task| task.set_on(None)) else {
            return;
        };
        let thread = self.thread(tid);
        if let Some(frame) = thread.holder(task).and_then(|place| thread.frames.get_mut(place)) {
            frame.over = Some(now);
        }
    }

    /// The frame in which the task is RUNNING.
    pub(super) fn frame_holding(&mut self, task: usize) -> Option<&mut Frame> {
        let thread = self.threads.get_mut(&self.tasks.get(task)?.on()?)?;
        let place = thread.holder(task)?;
        thread.frames.get_mut(place)
    }

    /// The task left RUNNING.
    pub(super) fn leave(&mut self, task: usize, phase: Phase) {
        let now = self.now;
        if let Some(task) = self.tasks.get_mut(task) {
            task.set_on(None);
            task.enter(phase, now);
        }
    }

    pub(super) fn end_task(&mut self, index: usize, how: How) {
        self.supersede(index);
        let now = self.now;
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

    /// Who acts on this thread now.
    pub(super) fn actor(&self, tid: u32) -> Actor {
        let thread = self.threads.get(&tid);
        match thread.and_then(|thread| thread.frames.last()) {
            Some(frame) if frame.epoch != self.epoch => Actor::Unknown(Why::Gap),
            Some(frame) if frame.runtime => Actor::Worker,
            Some(frame) => frame.task.map_or(Actor::Unknown(Why::Unseen), Actor::Task),
            None => self.base_actor(tid),
        }
    }

    fn base_actor(&self, tid: u32) -> Actor {
        let doubt = match self.threads.get(&tid) {
            Some(thread) => thread.doubt(self.epoch),
            None if !self.setup.base_is_certain(tid) => Some(Why::BeforeAttach),
            None => (self.epoch > 0).then_some(Why::Gap),
        };
        doubt.map_or(Actor::Thread, Actor::Unknown)
    }

    /// The thread is outside of every poll but for a worker's own.
    pub(super) fn at_rest(&mut self, tid: u32) {
        let epoch = self.epoch;
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
    pub(super) fn close_all(&mut self) {
        let mut tids: Vec<u32> = self.threads.keys().copied().collect();
        tids.sort_unstable();
        for tid in tids {
            while let Some(mut frame) = self.thread(tid).frames.pop() {
                self.close(tid, &mut frame, Close::unseen());
                if frame.over.is_some() {
                    self.settle_refused(&frame);
                }
            }
        }
    }
}

impl Close {
    /// The end was not seen.
    const fn unseen() -> Self {
        Self { outcome: Outcome::Unknown, woken: false, end_seen: false }
    }
}
