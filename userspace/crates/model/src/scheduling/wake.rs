//! Wakes and aborts: what they did, and who did them.

use crate::Graph;
use crate::config::Detail;
use crate::ids::TaskIndex;
use crate::scheduling::intervals::{Did, Wake, WakeBy};
use crate::scheduling::thread::Actor;
use crate::task::history::Happened;
use crate::task::lifecycle::{How, Phase};
use asyncscope_trace::event::{At, Event, Moment, State, TaskRef, What};
use asyncscope_trace::facts::Driver;
use probe_common::record::state::{CANCELLED, COMPLETE, NOTIFIED, RUNNING};

impl Graph {
    /// Takes a [`What::Wake`].
    pub(crate) fn wake(&mut self, event: &Event) {
        let What::Wake { task, old, new, caller, owned, predicted, moment } = &event.what else {
            return;
        };
        let by = self.waker(&event.at, *caller, *moment);
        let did = Did::of(*old, *new);
        match (did, self.woken(task, did, *owned)) {
            (Some(did), Some(index)) => {
                let did = self.take_wake(index, did, *predicted);
                self.book_wake(&event.at, index, did, by);
                self.handed_on(event.at.tid, by, index, did);
            }
            _ => {
                self.totals.stale_wakes += 1;
                self.thread(event.at.tid).passed_over = task.id;
            }
        }
    }

    /// The index of the woken task. A header that may have been freed brings no task into the
    /// graph, nor does one that was over before it was ever seen.
    fn woken(&mut self, task: &TaskRef, did: Option<Did>, owned: bool) -> Option<TaskIndex> {
        let phase = match did? {
            Did::MadeReady => Phase::Waiting,
            Did::FoundReady => Phase::Ready,
            Did::FoundRunning => Phase::Running,
            Did::FoundComplete => return self.index_of(task.id?),
        };
        match self.index_of(task.id?) {
            Some(index) => Some(index),
            None if owned => self.find_or_add(task, phase),
            None => None,
        }
    }

    fn take_wake(&mut self, index: TaskIndex, did: Did, predicted: bool) -> Did {
        let phase = self.tasks[index].phase;
        match did {
            // Another thread was between the reading of the state and its change.
            Did::MadeReady if predicted && phase == Phase::Ready => return Did::FoundReady,
            Did::MadeReady => self.make_ready(index),
            // Where the end of a poll is predicted at its entry, a wake can still slip in.
            Did::FoundRunning if phase == Phase::Waiting => self.make_ready(index),
            Did::FoundComplete => self.end_task(index, How::Unknown),
            Did::FoundReady | Did::FoundRunning => {}
        }
        did
    }

    /// A transition from idle to NOTIFIED took place.
    ///
    /// Its report can be late, after the poll that it led to began: that poll is then owed a wake.
    /// Without such a debt the report is of the time after the poll, whose own end is late.
    fn make_ready(&mut self, index: TaskIndex) {
        let (epoch, now) = (self.clock.epoch, self.clock.now);
        let task = &mut self.tasks[index];
        match task.phase {
            Phase::Ready => {}
            Phase::Waiting => task.enter(Phase::Ready, now),
            Phase::Running => {
                if !task.settle_owed_wake(epoch) {
                    self.supersede(index);
                    self.leave(index, Phase::Ready);
                }
            }
        }
    }

    fn book_wake(&mut self, at: &At, index: TaskIndex, did: Did, by: WakeBy) {
        self.totals.wakes += 1;
        let task = &mut self.tasks[index];
        task.wakes += 1;
        let (id, useful) = (task.id, matches!(did, Did::MadeReady | Did::FoundRunning));
        if let WakeBy::Task(waker) = by
            && waker != id
            && useful
        {
            self.note_wake(index, waker);
        }
        if self.config.detail == Detail::Intervals {
            self.undo.woke(self.clock.now, self.scheduler.wakes.len());
            self.scheduler.wakes.push(Wake { task: id, time_ns: self.clock.now, thread: at.tid, did, by });
        }
    }

    /// Returns who uses a waker on this thread. The code that called it is the best evidence: drivers run
    /// on threads, and in tasks, that do other things as well.
    fn waker(&mut self, at: &At, caller: u64, moment: Moment) -> WakeBy {
        match self.config.driver(caller) {
            Some(Driver::Deferred) => return WakeBy::Own,
            Some(driver) => return WakeBy::Runtime(Some(driver)),
            None => {}
        }
        // Through whatever waker: what a driver calls in its turn is its doing.
        if let Some(turn) = moment.turn.filter(|&turn| self.scheduler.is_in_turn(at.tid, moment.completion, turn)) {
            return WakeBy::Runtime(Some(turn.driver.into()));
        }
        let hosts_tasks = self.scheduler.known(at.tid).is_some_and(|t| t.hosts_tasks);
        let (config, tasks) = (&self.config, &self.tasks);
        let is_polled_there =
            |index| tasks.get(index).is_some_and(|task| config.polled_at(caller).contains(&task.vtable));
        match self.scheduler.user_of_waker(at.tid, self.clock.epoch, moment.completion, is_polled_there) {
            Actor::Task(index) => WakeBy::Task(self.tasks[index].id),
            Actor::Worker => WakeBy::Runtime(None),
            Actor::Thread if hosts_tasks => WakeBy::Runtime(None),
            Actor::Thread => WakeBy::Thread(at.tid),
            Actor::Unknown(why) => WakeBy::Unknown(why),
        }
    }

    pub(crate) fn abort(&mut self, at: &At, task: &TaskRef, old: State, new: State) {
        let newly = !old.has(CANCELLED) && new.has(CANCELLED) && !old.has(COMPLETE);
        let running = old.has(RUNNING);
        let phase = match old.has(NOTIFIED) {
            _ if running => Phase::Running,
            true => Phase::Ready,
            false => Phase::Waiting,
        };
        let Some(index) = newly.then(|| self.find_or_add(task, phase)).flatten() else {
            return;
        };
        self.tasks[index].rare_mut().aborts += 1;
        self.note(index, Happened::Abort { time_ns: self.clock.now, thread: at.tid });
        if phase == Phase::Waiting {
            self.make_ready(index);
        }
    }
}
