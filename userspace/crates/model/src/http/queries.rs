//! The requests and calls, for whoever looks at the graph.

use std::ops::Bound;

use crate::Graph;
use crate::http::call::Call;
use crate::http::request::Request;
use crate::ids::{CallId, RequestId, TaskIndex};
use crate::scheduling::thread::Actor;
use crate::task::owner::Owner;

impl Graph {
    /// The requests, by their opening: those that are open, and those that were not taken yet.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &Request> {
        self.http.requests.values()
    }

    /// The requests that opened after this one.
    pub fn requests_after(&self, last: RequestId) -> impl Iterator<Item = &Request> {
        self.http.requests.range((Bound::Excluded(last), Bound::Unbounded)).map(|(_, request)| request)
    }

    /// The calls that opened after this one.
    pub fn calls_after(&self, last: CallId) -> impl Iterator<Item = &Call> {
        self.http.calls.range((Bound::Excluded(last), Bound::Unbounded)).map(|(_, call)| call)
    }

    /// One request.
    #[must_use]
    pub fn request(&self, id: RequestId) -> Option<&Request> {
        self.http.request(id)
    }

    /// The outgoing calls, by their opening: those that are open, and those that were not taken yet.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &Call> {
        self.http.calls.values()
    }

    /// One call.
    #[must_use]
    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.http.call(id)
    }

    /// Removes a request that has closed, and returns it. Its tasks still name it as their owner, as long
    /// as nothing is seen that puts this in doubt.
    pub fn take_request(&mut self, id: RequestId) -> Option<Request> {
        if self.http.open.contains(&id) { None } else { self.http.requests.remove(&id) }
    }

    /// Removes a call that has closed, and returns it with its owner.
    pub fn take_call(&mut self, id: CallId) -> Option<(Call, Owner)> {
        if self.http.open_calls.contains(&id) {
            return None;
        }
        let owner = self.owner_of_call(self.http.call(id)?);
        self.http.calls.remove(&id).map(|call| (call, owner))
    }

    /// The task that acts on the thread, if one does for sure.
    pub(crate) fn acting(&self, tid: u32) -> Option<TaskIndex> {
        match self.actor(tid) {
            Actor::Task(index) => Some(index),
            Actor::Worker | Actor::Thread | Actor::Unknown(_) => None,
        }
    }
}
