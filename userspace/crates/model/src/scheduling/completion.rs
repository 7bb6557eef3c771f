//! What follows a task's completion inside of the poll that completed it: an output that nobody is to read is
//! dropped there, or the waker of the task's `JoinHandle` is used.
//!
//! RUNNING is over by then, and so is the task's frame. That this goes on is believed only where an event carries
//! the proof; without one, whoever acts is not known until the stack shows that the poll has returned.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/harness.rs#L331-L386>

use crate::ids::TaskIndex;
use crate::scheduling::Scheduler;
use crate::scheduling::thread::{Actor, Completing, Follows, Frame, MAX_FRAMES};
use crate::task::lifecycle::Why;
use asyncscope_trace::event::{At, Completion, State, Turn};

impl Scheduler {
    /// Takes that the frame's task has completed on this thread; its frame is gone.
    pub(crate) fn completes(&mut self, at: &At, frame: &Frame, new: State) {
        let Some(what) = Follows::of(new) else { return };
        let thread = self.thread(at.tid);
        thread.leave_completions();
        if thread.completing.len() >= MAX_FRAMES {
            thread.completing.remove(0);
        }
        // The function that ends the poll may have been jumped to, with the frame's own stack given back.
        let (task, sp, epoch, depth) = (frame.task, frame.sp.max(at.sp), frame.epoch, thread.frames.len());
        thread.completing.push(Completing { task, sp, epoch, depth, what });
    }

    /// Returns who spawns on this thread.
    pub(crate) fn spawner(&mut self, tid: u32, epoch: u64, seen: Completion) -> Actor {
        match self.completion(tid, epoch, seen) {
            Some((Actor::Task(task), Follows::Drop)) => Actor::Task(task),
            Some((unknown @ Actor::Unknown(_), Follows::Drop)) => unknown,
            _ => self.actor(tid, epoch),
        }
    }

    /// Returns who uses a waker on this thread, outside of every driver's turn. The code that calls it is that which
    /// polls the tasks for which `is_polled_there`.
    pub(crate) fn user_of_waker(
        &mut self,
        tid: u32,
        epoch: u64,
        seen: Completion,
        is_polled_there: impl Fn(TaskIndex) -> bool,
    ) -> Actor {
        if seen == Completion::Unknown
            && let Some(task) = self.wakes_from_poll(tid, epoch, is_polled_there)
        {
            return Actor::Task(task);
        }
        let completion = self.completion(tid, epoch, seen);
        completion.map_or_else(|| self.actor(tid, epoch), |(actor, _)| actor)
    }

    /// Returns `true` if what goes on on this thread lies in the turn, and in no poll inside of it.
    pub(crate) fn is_in_turn(&mut self, tid: u32, seen: Completion, turn: Turn) -> bool {
        let Some(thread) = self.known_mut(tid) else { return true };
        if seen == Completion::Over {
            thread.completing.clear();
        }
        thread.leave_completions();
        let frame = thread.frames.last().map(|frame| frame.sp);
        let completing = thread.innermost_completion().map(|completing| completing.sp);
        frame.into_iter().chain(completing).all(|sp| sp >= turn.sp)
    }

    /// Returns who acts where a completion may go on on this thread, and in what; `None`: none does, or a frame lies
    /// in it.
    fn completion(&mut self, tid: u32, epoch: u64, seen: Completion) -> Option<(Actor, Follows)> {
        let thread = self.known_mut(tid);
        if seen == Completion::Over {
            thread?.completing.clear();
            return None;
        }
        let innermost = thread.and_then(|thread| {
            thread.leave_completions();
            thread.innermost_completion().map(|Completing { task, epoch, what, .. }| (*task, *epoch, *what))
        });
        match innermost {
            Some((_, since, what)) if since != epoch => Some((Actor::Unknown(Why::Gap), what)),
            Some((Some(task), _, what)) if seen == Completion::GoesOn => Some((Actor::Task(task), what)),
            Some((.., what)) => Some((Actor::Unknown(Why::Unseen), what)),
            // Its poll's end was not matched with a start.
            None if seen == Completion::GoesOn && self.actor(tid, epoch) == Actor::Thread => {
                Some((Actor::Unknown(Why::Unseen), Follows::Drop))
            }
            None => None,
        }
    }

    /// Returns the task that completed last on this thread, where the code that calls the waker is that which polls
    /// tasks of its type, and no other poll on the thread runs that code: before 1.43, `JOIN_WAKER` stays set.
    fn wakes_from_poll(&self, tid: u32, epoch: u64, is_polled_there: impl Fn(TaskIndex) -> bool) -> Option<TaskIndex> {
        let thread = self.known(tid)?;
        let completing = thread.innermost_completion()?;
        let task = completing.task.filter(|_| completing.what == Follows::Wake && completing.epoch == epoch)?;
        let is_other = |frame: &Frame| frame.task.is_none_or(&is_polled_there);
        (is_polled_there(task) && !thread.frames.iter().any(is_other)).then_some(task)
    }
}
