//! Time inside polls in which the thread was off the CPU, and not runnable.
//!
//! One event reports such a time when it is over. No event of the thread can lie in it, so it belongs to
//! the innermost frame alone.

use crate::clock::Clock;
use crate::scheduling::Scheduler;
use crate::scheduling::intervals::{OffCpuAt, OffCpuIn};
use crate::scheduling::thread::Frame;
use crate::task::lifecycle::Phase;
use crate::task::table::Tasks;
use asyncscope_trace::event::{At, Event, Origin};

impl Scheduler {
    /// Takes that the thread was off the CPU from `since` until now, and where, if that is known. Where nobody saw the
    /// end, and the thread has done something since, it is not known how much of that time it was.
    pub(crate) fn off_cpu(
        &mut self,
        tasks: &mut Tasks,
        clock: Clock,
        at: &At,
        (since, end_unseen): (u64, bool),
        place: Option<OffCpuIn>,
    ) {
        let Clock { now, epoch } = clock;
        let Some(thread) = self.known_mut(at.tid) else { return };
        if end_unseen && thread.active_ns > since {
            return;
        }
        let since = since.max(thread.active_ns);
        let is_in = |frame: &&mut Frame| frame.epoch == epoch && frame.holds() && at.sp < frame.sp;
        let Some(frame) = thread.frames.last_mut().filter(is_in) else { return };
        let Some(task) = frame.task.and_then(|index| tasks.get_mut(index)) else { return };
        if task.on() == Some(at.tid) && task.phase == Phase::Running {
            let in_trap = place == Some(OffCpuIn::Trap);
            let ns = task.block(since, now, in_trap);
            frame.off_cpu += ns;
            frame.trapped += if in_trap { ns } else { 0 };
            frame.off_cpu_at = frame.off_cpu_at.max(place.map(|place| OffCpuAt { ns, place }));
        }
    }

    /// Notes that the thread was on a CPU just now. What only the agent reports says nothing of that.
    pub(crate) fn was_active(&mut self, event: &Event, now: u64) {
        if event.what.origin() == Origin::Bookkeeping {
            return;
        }
        if let Some(thread) = self.known_mut(event.at.tid) {
            thread.active_ns = now;
        }
    }
}
