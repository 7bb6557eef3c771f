//! Tasks that are over leave the graph, where whoever looks at it wants each but once.
//!
//! What remains of them are the sums over the recording, their descendants' lines, and their ids for a
//! while: a late word about a task that has left must not bring it back.

use std::collections::VecDeque;

use hashbrown::HashSet;

use super::Graph;
use super::task::Task;
use asyncscope_trace::event::TaskId;

/// Ids of tasks that have left, remembered.
const REMEMBERED: usize = 1 << 16;
/// Gaps that are kept.
const MAX_GAPS: usize = 1 << 10;
/// Conclusions are looked through for those about what has left when there are so many, and twice as many as
/// were kept the last time.
const MIN_FRESH: usize = 1 << 12;

/// Who is over, and who has left.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Places of tasks that are over, by the time they were known to be.
    pub(super) over: VecDeque<usize>,
    /// How many conclusions of each kind were kept when they were last looked through.
    kept: [usize; 5],
    recent: VecDeque<TaskId>,
    remembered: HashSet<TaskId>,
}

impl Leaving {
    /// Whether a task of this id has left not long ago.
    pub(super) fn has_left(&self, id: TaskId) -> bool {
        self.remembered.contains(&id)
    }

    fn remember(&mut self, id: TaskId) {
        if self.recent.len() >= REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.remembered.remove(&oldest);
        }
        self.recent.push_back(id);
        self.remembered.insert(id);
    }
}

impl Graph {
    /// The places in [`Graph::tasks`] of tasks that ended at or before `until_ns` and that nothing more
    /// is to be expected of. Each is returned once, in the order of their ends.
    pub fn over(&mut self, until_ns: u64) -> Vec<usize> {
        let mut over = Vec::new();
        while let Some(&index) = self.leaving.over.front() {
            let task = &self.tasks[index];
            if task.end().is_none_or(|end| end.time_ns > until_ns) {
                break;
            }
            self.leaving.over.pop_front();
            over.push(index);
        }
        over
    }

    /// The tasks whose end was not seen.
    pub fn open(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(|task| !task.has_ended())
    }

    /// Lets these tasks leave: the graph knows them no longer.
    pub fn let_go(&mut self, places: &[usize]) {
        for &place in places {
            // What its descendants have to know of it is said before it goes.
            if let Some(notes) = self.tasks.get(place).and_then(|task| task.notes.as_ref()) {
                drop(self.settled_owner(&notes.line));
            }
            if let Some(task) = self.tasks.remove(place) {
                self.leaving.remember(task.id);
            }
        }
        self.forget_fresh();
        let surplus = self.gaps.len().saturating_sub(MAX_GAPS);
        self.gaps.drain(..surplus);
    }

    /// What cannot be taken back any more, as what it was about has left, is not remembered for it.
    pub(super) fn forget_fresh(&mut self) {
        let Self { fresh, tasks, web, prints, leaving, .. } = self;
        let [spawns, kins, requests, calls, lines] = &mut leaving.kept;
        if is_due(fresh.spawns.len(), *spawns) {
            fresh.spawns.retain(|place| tasks.get(place).is_some());
            *spawns = fresh.spawns.len();
        }
        thin(&mut fresh.kins, kins, |place| tasks.get(*place).is_some());
        thin(&mut fresh.requests, requests, |id| web.requests.contains_key(id));
        thin(&mut fresh.calls, calls, |id| web.calls.contains_key(id));
        thin(&mut fresh.prints, lines, |id| prints.is_kept(*id));
    }

    /// A task has ended: it may leave, once somebody asks.
    pub(super) fn has_ended_now(&mut self, index: usize) {
        if self.setup.noted.is_some() || self.setup.forgets {
            self.leaving.over.push_back(index);
        }
    }
}

/// Whether so many conclusions are to be looked through, when so many were kept the last time.
fn is_due(fresh: usize, kept: usize) -> bool {
    fresh > MIN_FRESH.max(kept * 2)
}

fn thin<T>(fresh: &mut Vec<(u64, T)>, kept: &mut usize, stays: impl Fn(&T) -> bool) {
    if is_due(fresh.len(), *kept) {
        fresh.retain(|(_, what)| stays(what));
        *kept = fresh.len();
    }
}
