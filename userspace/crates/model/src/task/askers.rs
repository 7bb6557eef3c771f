//! Who may have asked for a call: requests, by way of their tasks.

use crate::ids::{RequestId, TaskIndex};
use crate::task::owner::MAX_CANDIDATES;

/// A request, by way of one of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLink {
    pub(crate) request: RequestId,
    pub(crate) task: TaskIndex,
    /// The task was spawned for it, and so may turn out not to be its.
    pub(crate) lives: bool,
}

impl RequestLink {
    pub(crate) fn new(request: RequestId, task: TaskIndex, lives: bool) -> Self {
        Self { request, task, lives }
    }

    pub(crate) fn request(&self) -> RequestId {
        self.request
    }

    /// The task, if the link holds only as long as that is the request's.
    pub(crate) fn through(&self) -> Option<TaskIndex> {
        self.lives.then_some(self.task)
    }
}

/// Those who may have asked for a call, one link a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Askers {
    pub(crate) links: Vec<RequestLink>,
    /// Each of these may only have asked the one that asked.
    uncertain: bool,
    /// There is another, of whom nothing is known: naming these would say too much.
    pub(crate) incomplete: bool,
    /// The gaps when the last of them was noted: earlier ones are forgotten.
    epoch: u64,
}

impl Askers {
    pub(crate) fn add(&mut self, epoch: u64, links: impl IntoIterator<Item = RequestLink>) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        for link in links {
            if self.links.len() <= MAX_CANDIDATES && !self.links.iter().any(|known| known.request() == link.request()) {
                self.links.push(link);
            }
        }
    }

    /// Forgets them: what is to be said of them is not known any more.
    pub(crate) fn clear(&mut self) {
        self.links.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(crate) fn only(&self) -> Option<RequestId> {
        match self.links.as_slice() {
            [one] if !self.uncertain => Some(one.request()),
            _ => None,
        }
    }

    pub(crate) fn note_unknown(&mut self, epoch: u64) {
        self.add(epoch, []);
        self.incomplete = true;
    }

    pub(crate) fn note_uncertain(&mut self, epoch: u64) {
        self.add(epoch, []);
        self.uncertain = true;
    }

    pub(crate) fn of(self, epoch: u64) -> Self {
        if self.epoch == epoch { self } else { Self::default() }
    }
}

/// For whom a task that wakes another may do so.
pub(crate) enum Asking {
    /// For the request that it works for.
    Direct(RequestLink),
    /// For one of those that it works for, or that asked it.
    Likely(Vec<RequestLink>),
    Unknown,
}
