//! Retention: tasks that are over leave the graph, where whoever looks at it wants each but once.
//!
//! What remains of them are the sums over the recording, their descendants' lineages, and their ids for a while: a
//! late event about a task that has left must not bring it back.

use std::collections::VecDeque;

use hashbrown::HashSet;

use crate::Graph;
use crate::ids::TaskIndex;
use crate::task::Task;
use asyncscope_trace::event::TaskId;

/// Ids of tasks that have left, remembered.
const REMEMBERED: usize = 1 << 16;
/// Gaps that are kept.
const MAX_GAPS: usize = 1 << 10;

/// The tasks that are over, and those that have left.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    /// Tasks that are over, by the time they were known to be.
    ended: VecDeque<TaskIndex>,
    recent: VecDeque<TaskId>,
    remembered: HashSet<TaskId>,
}

impl Retention {
    /// Returns `true` if a task of this id has left not long ago.
    pub(crate) fn has_left(&self, id: TaskId) -> bool {
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
    /// Takes the tasks that ended at or before `until_ns` and that nothing more is to be expected of. Each is returned
    /// once, in the order of their ends.
    pub fn take_ended(&mut self, until_ns: u64) -> Vec<TaskIndex> {
        let mut ended = Vec::new();
        while let Some(&index) = self.retention.ended.front() {
            let task = &self.tasks[index];
            if task.end().is_none_or(|end| end.time_ns > until_ns) {
                break;
            }
            self.retention.ended.pop_front();
            ended.push(index);
        }
        ended
    }

    /// Iterates over the tasks whose end was not seen.
    pub fn open(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().filter(|task| !task.has_ended())
    }

    /// Removes these tasks: the graph knows them no longer.
    pub fn evict(&mut self, indices: &[TaskIndex]) {
        for &index in indices {
            // What its descendants have to know of it is said before it goes.
            if let Some(history) = self.tasks.get(index).and_then(|task| task.history.as_ref()) {
                drop(self.settled_owner(&history.line));
            }
            if let Some(task) = self.tasks.remove(index) {
                self.retention.remember(task.id);
            }
        }
        self.thin_undo();
        let surplus = self.gaps.len().saturating_sub(MAX_GAPS);
        self.gaps.drain(..surplus);
    }

    /// Forgets what cannot be retracted any more, as what it was about has left.
    pub(crate) fn thin_undo(&mut self) {
        self.undo.thin(&self.tasks, &self.http, &self.log_lines);
    }

    /// Takes that a task has ended: it may leave, once somebody asks.
    pub(crate) fn has_ended_now(&mut self, index: TaskIndex) {
        if self.config.span_detail.is_some() || self.config.evicts {
            self.retention.ended.push_back(index);
        }
    }
}
