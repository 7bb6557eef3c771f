//! What follows a task's completion inside of the poll that completed it: an output that nobody is to read is
//! dropped there, or the waker of the task's `JoinHandle` is used.
//!
//! RUNNING is over by then, and so is the task's frame. That this goes on is believed only where an event carries
//! the proof; without one, whoever acts is not known until the stack shows that the poll has returned.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/harness.rs#L331-L386>

use super::Graph;
use super::frames::Actor;
use super::life::Why;
use super::thread::{Frame, MAX_FRAMES, Thread};
use asyncscope_trace::event::{At, Completion, Reach, State, Turn};
use probe_common::record::state::{JOIN_INTEREST, JOIN_WAKER};

/// A completion that may go on.
#[derive(Debug)]
pub(super) struct Completing {
    /// The task's index; `None` where its id could not be read.
    task: Option<usize>,
    /// The stack pointer at the poll's entry.
    sp: u64,
    epoch: u64,
    /// How many frames of its thread it lies in.
    depth: usize,
    what: Follows,
}

/// What follows a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// The output is dropped: by tokio's own word the task runs.
    Drop,
    /// The waker is used: by tokio's own word no task runs, but the wake is the task's.
    Wake,
}

impl Follows {
    /// Nothing does where the output may be read, and nobody waits for it.
    fn of(new: State) -> Option<Self> {
        match new.has(JOIN_INTEREST) {
            false => Some(Self::Drop),
            true => new.has(JOIN_WAKER).then_some(Self::Wake),
        }
    }
}

impl Thread {
    /// Drops the completions whose polls have returned, as an event's stack pointer shows.
    pub(super) fn settle_completions(&mut self, reach: Reach, sp: u64) {
        if self.completing.is_empty() {
            return;
        }
        self.completing.retain(|completing| !reach.is_above(completing.sp, sp));
        self.leave_completions();
    }

    /// Drops those whose polls lay in frames that are gone.
    pub(super) fn leave_completions(&mut self) {
        let depth = self.frames.len();
        self.completing.retain(|completing| completing.depth <= depth);
    }

    /// The one that may go on and that no frame lies in.
    fn innermost_completion(&self) -> Option<&Completing> {
        self.completing.last().filter(|completing| completing.depth == self.frames.len())
    }
}

impl Graph {
    /// The frame's task has completed on this thread, and its frame is gone.
    pub(super) fn completes(&mut self, at: &At, frame: &Frame, new: State) {
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

    /// Who spawns on this thread.
    pub(super) fn spawner(&mut self, tid: u32, told: Completion) -> Actor {
        match self.completion(tid, told) {
            Some((Actor::Task(task), Follows::Drop)) => Actor::Task(task),
            Some((unknown @ Actor::Unknown(_), Follows::Drop)) => unknown,
            _ => self.actor(tid),
        }
    }

    /// Who uses a waker on this thread, called by the code at `caller`, outside of every driver's turn.
    pub(super) fn user_of_waker(&mut self, tid: u32, told: Completion, caller: u64) -> Actor {
        if told == Completion::Untold
            && let Some(task) = self.wakes_from_poll(tid, caller)
        {
            return Actor::Task(task);
        }
        let completion = self.completion(tid, told);
        completion.map_or_else(|| self.actor(tid), |(actor, _)| actor)
    }

    /// Whether what goes on on this thread lies in the turn, and in no poll inside of it.
    pub(super) fn is_in_turn(&mut self, tid: u32, told: Completion, turn: Turn) -> bool {
        let Some(thread) = self.threads.get_mut(&tid) else { return true };
        if told == Completion::Over {
            thread.completing.clear();
        }
        thread.leave_completions();
        let frame = thread.frames.last().map(|frame| frame.sp);
        let completing = thread.innermost_completion().map(|completing| completing.sp);
        frame.into_iter().chain(completing).all(|sp| sp >= turn.sp)
    }

    /// Who acts where a completion may go on on this thread, and in what; `None`: none does, or a frame lies in it.
    fn completion(&mut self, tid: u32, told: Completion) -> Option<(Actor, Follows)> {
        let epoch = self.epoch;
        let thread = self.threads.get_mut(&tid);
        if told == Completion::Over {
            thread?.completing.clear();
            return None;
        }
        let innermost = thread.and_then(|thread| {
            thread.leave_completions();
            thread.innermost_completion().map(|Completing { task, epoch, what, .. }| (*task, *epoch, *what))
        });
        match innermost {
            Some((_, since, what)) if since != epoch => Some((Actor::Unknown(Why::Gap), what)),
            Some((Some(task), _, what)) if told == Completion::GoesOn => Some((Actor::Task(task), what)),
            Some((.., what)) => Some((Actor::Unknown(Why::Unseen), what)),
            // Its poll's end was not matched with a start.
            None if told == Completion::GoesOn && self.actor(tid) == Actor::Thread => {
                Some((Actor::Unknown(Why::Unseen), Follows::Drop))
            }
            None => None,
        }
    }

    /// The task that completed last on this thread, where the code that calls the waker is that which polls tasks of
    /// its type, and no other poll on the thread runs that code: before 1.43, JOIN_WAKER stays set.
    fn wakes_from_poll(&self, tid: u32, caller: u64) -> Option<usize> {
        let thread = self.threads.get(&tid)?;
        let completing = thread.innermost_completion()?;
        let task = completing.task.filter(|_| completing.what == Follows::Wake && completing.epoch == self.epoch)?;
        let polled = self.setup.polled_at(caller);
        let is_of = |index: usize| self.tasks.get(index).is_some_and(|task| polled.contains(&task.vtable));
        let is_other = |frame: &Frame| frame.task.is_none_or(is_of);
        (is_of(task) && !thread.frames.iter().any(is_other)).then_some(task)
    }
}
