//! Whose work a task is.
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

use super::Graph;
use super::ancestry::MAX_ANCESTRY;
use super::call::{CallId, Owner};
use super::exchange::{Askers, Exchange};
use super::life::Parent;
use super::request::RequestId;
use super::streams::Accept;
use super::stretch::Link;
use super::task::Task;
use asyncscope_trace::event::{Connection, TaskId};

/// Gaps looked at for one task; where there are more since it was first seen, it is taken to have lived through one.
const MAX_GAPS: usize = 64;

/// What a task's spawn says of whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Kin {
    /// It is whose its parent is.
    #[default]
    Parent,
    /// It is of this request: spawned while its parent served that one.
    Of(RequestId),
    /// It is of one of these, which its parent served at once.
    Between(Box<Candidates>),
    /// Its parent served none then, or it is not known which.
    Nobody,
}

/// Some requests, one of which it is. By itself, so that tasks have room for no more than where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidates(pub(super) Vec<RequestId>);

/// What a task does for requests. Most tasks have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Duties {
    /// The open requests that it serves.
    pub(super) serves: Vec<RequestId>,
    /// Heads read in this poll on connections whose streams get tasks of their own.
    pub(super) accept: Option<Accept>,
    /// Requests of its streams whose tasks are over, and since when.
    pub(super) over: Vec<(u64, RequestId)>,
    /// The connections that it last read or wrote a head on.
    pub(super) connections: Vec<Connection>,
    /// The call whose response it has just read, and the gaps by then: whom it wakes next asked for it.
    pub(super) reply: Option<(CallId, u64)>,
    /// The request of a task that made this one ready, since its last poll.
    pub(super) asked: Option<Link>,
    /// The call for whose response it was woken, to pass it on.
    pub(super) relay: Option<Relay>,
    /// Heads that it has read on connections where another request was under way: while there are any, what it does
    /// may be for each.
    pub(super) read_ahead: u32,
    /// Those who woke it since its last poll began, and may have asked for a call.
    pub(super) askers: Askers,
    /// The call over HTTP/1 that it has under way for another.
    pub(super) exchange: Option<Exchange>,
    /// The call of the one stream that it was spawned for, and the gaps by then: one may have swallowed another spawn.
    pub(super) stream_call: Option<(CallId, u64)>,
    /// The request that it answered last over HTTP/1, whose body it may still be writing, and the gaps by then.
    pub(super) answered: Option<(RequestId, u64)>,
}

/// A task on the way of a response from the connection's task to the one that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relay {
    pub(super) call: CallId,
    /// The gaps when it was woken.
    pub(super) epoch: u64,
    /// The tasks of requests that it woke since.
    pub(super) woke: Vec<usize>,
}

impl Kin {
    pub(super) fn between(ids: Vec<RequestId>) -> Self {
        Self::Between(Box::new(Candidates(ids)))
    }
}

impl Task {
    pub(super) fn duties(&self) -> Option<&Duties> {
        self.rare.as_ref()?.duties.as_deref()
    }

    /// Its duties, if it has any.
    pub(super) fn if_duties(&mut self) -> Option<&mut Duties> {
        self.rare.as_mut()?.duties.as_deref_mut()
    }

    /// Its duties, which it has from now on.
    pub(super) fn duties_mut(&mut self) -> &mut Duties {
        self.rare_mut().duties.get_or_insert_default()
    }

    pub(super) fn take_duties(&mut self) -> Option<Box<Duties>> {
        self.rare.as_mut()?.duties.take()
    }

    /// The open requests that it serves, as far as that is known.
    pub(super) fn serves(&self) -> &[RequestId] {
        self.duties().filter(|duties| duties.read_ahead == 0).map_or(&[], |duties| &duties.serves)
    }

    pub(super) fn stop_serving(&mut self, id: RequestId) {
        if let Some(duties) = self.if_duties() {
            duties.serves.retain(|served| *served != id);
        }
    }

    /// Whether it serves requests in turn, or all at once.
    fn is_common(&self) -> bool {
        self.is_server || self.runtime
    }
}

impl Graph {
    /// Whose work a task is; [`Owner::None`] for one that serves several in turn, as a connection's does.
    #[must_use]
    pub fn owner(&self, task: TaskId) -> Owner {
        self.index_of(task).map_or(Owner::None, |index| self.owner_at(index))
    }

    pub(super) fn owner_at(&self, index: usize) -> Owner {
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

    /// Whom the spawns say the task to be of, and how many spawns ago that was decided.
    fn lineage(&self, index: usize) -> Option<(Owner, usize)> {
        let mut at = index;
        for steps in 0..MAX_ANCESTRY {
            let task = self.tasks.get(at)?;
            if task.is_common() {
                return None;
            }
            match &task.kin {
                Kin::Of(id) => return Some((Owner::Request(*id), steps)),
                Kin::Between(ids) => return Some((Owner::of(ids.0.clone()), steps)),
                Kin::Nobody => return None,
                Kin::Parent => match self.parent_of(task) {
                    Some(parent) => at = parent,
                    None => return self.owner_by_lineage(task).map(|owner| (owner, steps)),
                },
            }
        }
        None
    }

    /// Whom the spawns say the task to be of, whatever it has done since.
    pub(super) fn lineage_owner(&self, index: usize) -> Owner {
        self.lineage(index).map_or(Owner::None, |(owner, _)| owner)
    }

    fn parent_of(&self, task: &Task) -> Option<usize> {
        match task.parent() {
            Parent::Task(id) => self.index_of(id),
            Parent::Root(_) | Parent::Unknown(_) => None,
        }
    }

    /// Whether nothing shows that the task serves others than the request.
    fn stays(&self, task: &Task, id: RequestId) -> bool {
        if task.is_client && task.had_contact {
            return false;
        }
        // What it was woken by in a gap is not known.
        let suspect =
            task.had_contact || self.web.client_types.contains(&task.vtable) || self.has_lived_through_a_gap(task);
        task.is_stream || !suspect || !self.outlives(task, id)
    }

    fn has_lived_through_a_gap(&self, task: &Task) -> bool {
        let ended_ns = task.end().map_or(u64::MAX, |end| end.time_ns);
        let first = self.gaps.partition_point(|gap| gap.until_ns < task.first_seen_ns);
        let later = self.gaps.get(first..).unwrap_or_default();
        later.iter().take(MAX_GAPS).any(|gap| gap.since_ns <= ended_ns) || later.len() > MAX_GAPS
    }

    fn outlives(&self, task: &Task, id: RequestId) -> bool {
        let closed = self.web.requests.get(&id).map(|request| request.end.map(|end| end.time_ns));
        match (closed, task.end()) {
            // Requests are taken when they have closed.
            (None, _) => true,
            (Some(None), end) => end.is_none() && self.finished,
            (Some(Some(_)), None) => true,
            (Some(Some(closed)), Some(end)) => end.time_ns > closed,
        }
    }

    /// Whose work the task is doing right now. That a client's connection is one request's as a whole is
    /// known at its end at the earliest.
    pub(super) fn doing(&self, index: usize) -> Owner {
        match self.tasks.get(index) {
            Some(task) if task.is_client => Owner::None,
            _ => self.taken_for(index),
        }
    }

    /// Whose work the task is, as far as anything shows by now.
    pub(super) fn taken_for(&self, index: usize) -> Owner {
        match self.tasks.get(index).map_or(&[][..], Task::serves) {
            [] => self.owner_at(index),
            serves => Owner::of(serves.to_vec()),
        }
    }

    /// What the spawn of a task by this parent says of whose it is.
    pub(super) fn kin_of(&self, parent: Parent) -> Kin {
        let Parent::Task(id) = parent else {
            return Kin::Nobody;
        };
        let Some(parent) = self.task(id) else {
            return Kin::Nobody;
        };
        match parent.serves() {
            [] if parent.is_server => Kin::Nobody,
            [] => Kin::Parent,
            [one] => Kin::Of(*one),
            many => Kin::between(many.to_vec()),
        }
    }
}
