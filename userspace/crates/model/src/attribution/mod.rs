//! Attribution: whose work a task is.
//!
//! A task spawned while its parent serves a request is of that request, and so is what it spawns. Some of
//! these turn out to serve others: the first request that needs a connection or an actor spawns it, and
//! all later ones use it. Such a task is nobody's, and neither is what it spawns. It shows by
//! - outliving its request, after it had woken a task of another request, or was woken by one; or
//! - outliving its request, while it, or another of its type, writes the heads of calls: it is a client's
//!   connection; or
//! - writing heads, and being in touch with another request in any way; or
//! - outliving its request, where a gap may have swallowed any of this.
//!
//! This is only known in time, so whose a task is gets decided when it is asked.

pub(crate) mod exchange;
pub(crate) mod handoff;
pub(crate) mod history;
pub(crate) mod of_samples;
pub(crate) mod segments;

use crate::Graph;
use crate::ids::{RequestId, TaskIndex};
use crate::task::Task;
use crate::task::ancestry::MAX_ANCESTRY;
use crate::task::lifecycle::Parent;
use crate::task::owner::{Inherited, Owner};
use asyncscope_trace::event::TaskId;

/// Gaps looked at for one task; where there are more since it was first seen, it is taken to have lived through one.
const MAX_GAPS: usize = 64;

impl Graph {
    /// Returns the owner of a task; [`Owner::None`] for one that serves several in turn, as a connection's does.
    #[must_use]
    pub fn owner(&self, task: TaskId) -> Owner {
        self.index_of(task).map_or(Owner::None, |index| self.owner_at(index))
    }

    pub(crate) fn owner_at(&self, index: TaskIndex) -> Owner {
        let Some((owner, steps)) = self.lineage(index) else {
            return Owner::None;
        };
        let mut at = Some(index);
        for _ in 0..=steps {
            let Some(task) = at.and_then(|index| self.tasks.get(index)) else {
                return Owner::None;
            };
            if !owner.candidates().iter().all(|id| self.stays(task, *id)) {
                return Owner::None;
            }
            at = self.parent_of(task);
        }
        owner
    }

    /// Returns the owner that the spawns give the task, and how many spawns ago that was decided.
    fn lineage(&self, index: TaskIndex) -> Option<(Owner, usize)> {
        let mut at = index;
        for steps in 0..MAX_ANCESTRY {
            let task = self.tasks.get(at)?;
            if task.is_common() {
                return None;
            }
            match &task.inherited {
                Inherited::Of(id) => return Some((Owner::Request(*id), steps)),
                Inherited::Between(ids) => return Some((Owner::of(ids.0.clone()), steps)),
                Inherited::Nobody => return None,
                Inherited::Parent => match self.parent_of(task) {
                    Some(parent) => at = parent,
                    None => return Self::owner_by_lineage(task).map(|owner| (owner, steps)),
                },
            }
        }
        None
    }

    /// Returns the owner that the spawns give the task, whatever it has done since.
    pub(crate) fn lineage_owner(&self, index: TaskIndex) -> Owner {
        self.lineage(index).map_or(Owner::None, |(owner, _)| owner)
    }

    fn parent_of(&self, task: &Task) -> Option<TaskIndex> {
        match task.parent() {
            Parent::Task(id) => self.index_of(id),
            Parent::Root(_) | Parent::Unknown(_) => None,
        }
    }

    /// Returns `true` if nothing shows that the task serves others than the request.
    fn stays(&self, task: &Task, id: RequestId) -> bool {
        if task.is_client && task.had_contact {
            return false;
        }
        // What it was woken by in a gap is not known.
        let suspect = task.had_contact || self.http.is_client_type(task.vtable) || self.has_lived_through_a_gap(task);
        task.is_stream || !suspect || !self.outlives(task, id)
    }

    fn has_lived_through_a_gap(&self, task: &Task) -> bool {
        let ended_ns = task.end().map_or(u64::MAX, |end| end.time_ns);
        let first = self.gaps.partition_point(|gap| gap.until_ns < task.first_seen_ns);
        let later = self.gaps.get(first..).unwrap_or_default();
        later.iter().take(MAX_GAPS).any(|gap| gap.since_ns <= ended_ns) || later.len() > MAX_GAPS
    }

    /// Returns `true` if the task, which is of no known request, may be of one whose head was not seen: it was read
    /// before the attach, or in a gap. Where there are gaps no task is known to be of none.
    pub(crate) fn may_be_of_unseen_request(&self, index: TaskIndex) -> bool {
        if !self.gaps.is_empty() {
            return true;
        }
        let mut at = index;
        for _ in 0..MAX_ANCESTRY {
            let Some(task) = self.tasks.get(at) else {
                return true;
            };
            if task.is_server || task.runtime {
                return false;
            }
            match (task.parent(), self.parent_of(task)) {
                (Parent::Root(_), _) => return false,
                (_, Some(parent)) => at = parent,
                (_, None) => return true,
            }
        }
        true
    }

    fn outlives(&self, task: &Task, id: RequestId) -> bool {
        let closed = self.http.request(id).map(|request| request.end.map(|end| end.time_ns));
        match (closed, task.end()) {
            // Requests are taken when they have closed.
            (None, _) => true,
            (Some(None), end) => end.is_none() && self.finished,
            (Some(Some(_)), None) => true,
            (Some(Some(closed)), Some(end)) => end.time_ns > closed,
        }
    }

    /// Returns the owner of what the task is doing right now. That a client's connection is one request's as a whole is
    /// known at its end at the earliest.
    pub(crate) fn doing(&self, index: TaskIndex) -> Owner {
        match self.tasks.get(index) {
            Some(task) if task.is_client => Owner::None,
            _ => self.taken_for(index),
        }
    }

    /// Returns the owner of the task, as far as anything shows by now.
    pub(crate) fn taken_for(&self, index: TaskIndex) -> Owner {
        match self.tasks.get(index).map_or(&[][..], Task::serves) {
            [] => self.owner_at(index),
            serves => Owner::of(serves.to_vec()),
        }
    }

    /// Returns what a task inherits that this parent spawns now.
    pub(crate) fn inherited_from(&self, parent: Parent) -> Inherited {
        let Parent::Task(id) = parent else {
            return Inherited::Nobody;
        };
        let Some(parent) = self.task(id) else {
            return Inherited::Nobody;
        };
        match parent.serves() {
            [] if parent.is_server => Inherited::Nobody,
            [] => Inherited::Parent,
            [one] => Inherited::Of(*one),
            many => Inherited::between(many.to_vec()),
        }
    }
}
