//! Time inside polls in which the thread was off the CPU, and not runnable.
//!
//! One event tells of such a stretch when it is over. No event of the thread can lie in it, so it belongs to
//! the innermost frame alone.

use super::Graph;
use super::blocking::{BlockedAt, BlockedIn};
use super::life::Phase;
use super::thread::Frame;
use asyncscope_trace::event::{At, Event, Origin};

impl Graph {
    /// The thread was blocked from `since` until now, and where, if that is known.
    pub(super) fn blocked(&mut self, at: &At, since: u64, place: Option<BlockedIn>) {
        let (now, epoch) = (self.now, self.epoch);
        let Some(thread) = self.threads.get_mut(&at.tid) else { return };
        let since = since.max(thread.active_ns);
        let is_in = |frame: &&mut Frame| frame.epoch == epoch && frame.holds() && at.sp < frame.sp;
        let Some(frame) = thread.frames.last_mut().filter(is_in) else { return };
        let Some(task) = frame.task.and_then(|index| self.tasks.get_mut(index)) else { return };
        if task.on() == Some(at.tid) && task.phase == Phase::Running {
            let in_trap = place == Some(BlockedIn::Trap);
            let ns = task.block(since, now, in_trap);
            frame.blocked += ns;
            frame.trapped += if in_trap { ns } else { 0 };
            frame.blocked_at = frame.blocked_at.max(place.map(|place| BlockedAt { ns, place }));
        }
    }

    /// The thread was on a CPU just now. What only the agent tells says nothing of that.
    pub(super) fn was_active(&mut self, event: &Event) {
        if event.what.origin() == Origin::Bookkeeping {
            return;
        }
        let now = self.now;
        if let Some(thread) = self.threads.get_mut(&event.at.tid) {
            thread.active_ns = now;
        }
    }
}
