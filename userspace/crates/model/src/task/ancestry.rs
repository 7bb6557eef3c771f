//! A task's line of ancestors.

use crate::Graph;
use crate::task::Task;
use crate::task::lifecycle::Parent;
use asyncscope_trace::event::TaskId;

/// The longest line of ancestors that is followed.
pub const MAX_ANCESTRY: usize = 512;

/// A task and its ancestors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestry<'a> {
    /// The tasks, the oldest ancestor first, the task itself last.
    pub tasks: Vec<&'a Task>,
    /// The parent of the first of them: [`Parent::Task`] only where the line was cut at
    /// [`MAX_ANCESTRY`].
    pub origin: Parent,
}

impl Graph {
    /// The line from the oldest known ancestor down to this task.
    #[must_use]
    pub fn ancestry(&self, id: TaskId) -> Option<Ancestry<'_>> {
        let mut tasks = vec![self.task(id)?];
        let mut origin = self.task(id)?.parent();
        while let Parent::Task(parent) = origin
            && tasks.len() < MAX_ANCESTRY
            && let Some(task) = self.task(parent)
        {
            tasks.push(task);
            origin = task.parent();
        }
        tasks.reverse();
        Some(Ancestry { tasks, origin })
    }

    /// The spawns whose parent task is known, in order of time: parent, then child.
    pub fn spawn_edges(&self) -> impl Iterator<Item = (TaskId, TaskId)> + '_ {
        self.tasks.values().filter_map(|child| match child.parent() {
            Parent::Task(parent) => Some((parent, child.id)),
            Parent::Root(_) | Parent::Unknown(_) => None,
        })
    }
}
