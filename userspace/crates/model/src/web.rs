//! What the graph knows of HTTP.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound;

use super::Graph;
use super::call::{Call, CallId, Owner};
use super::connection::{Link, Side};
use super::correlation::Key;
use super::frames::Actor;
use super::request::{Close, Closed, Request, RequestId};
use asyncscope_trace::event::Connection;

/// Requests, calls, and the connections that they go through.
#[derive(Debug, Default)]
pub(super) struct Web {
    pub(super) links: HashMap<Connection, Link>,
    pub(super) requests: BTreeMap<RequestId, Request>,
    pub(super) calls: BTreeMap<CallId, Call>,
    pub(super) last_request: u64,
    pub(super) last_call: u64,
    pub(super) open: BTreeSet<RequestId>,
    pub(super) open_calls: BTreeSet<CallId>,
    /// Those that have closed, oldest first, where only the newest are kept.
    pub(super) closed: VecDeque<RequestId>,
    pub(super) closed_calls: VecDeque<CallId>,
    /// The requests by the IDs they came with: the open ones, and the newest that have closed.
    pub(super) named: HashMap<Key, Vec<RequestId>>,
    /// The requests by the IDs that closed ones came with, oldest first.
    pub(super) named_closed: VecDeque<(RequestId, Vec<Key>)>,
    /// The ends of the newest polls, oldest first: when, in nanoseconds, and of which task.
    pub(super) recent: VecDeque<(u64, usize)>,
    /// The types of tasks that were seen to write calls for others.
    pub(super) client_types: HashSet<u64>,
}

/// Requests, and calls, that are kept after they closed, with [`super::Detail::Totals`].
pub(super) const MAX_KEPT: usize = 1 << 14;

impl Web {
    /// A request has closed: it may be time for the oldest to go.
    pub(super) fn keep(&mut self, id: RequestId) {
        self.closed.push_back(id);
        if self.closed.len() > MAX_KEPT
            && let Some(oldest) = self.closed.pop_front().filter(|oldest| !self.open.contains(oldest))
        {
            self.requests.remove(&oldest);
        }
    }

    /// The same for calls.
    pub(super) fn keep_call(&mut self, id: CallId) {
        self.closed_calls.push_back(id);
        if self.closed_calls.len() > MAX_KEPT
            && let Some(oldest) = self.closed_calls.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }

    /// Whether any head was ever seen.
    pub(super) fn is_used(&self) -> bool {
        self.last_request > 0 || self.last_call > 0
    }

    /// A request that came with these IDs has closed. What it left running may go on to call with them.
    pub(super) fn keep_names(&mut self, id: RequestId, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        self.named_closed.push_back((id, keys));
        if self.named_closed.len() > MAX_KEPT
            && let Some((oldest, keys)) = self.named_closed.pop_front()
        {
            self.forget_names(oldest, &keys);
        }
    }

    fn forget_names(&mut self, id: RequestId, keys: &[Key]) {
        for key in keys {
            if let Some(requests) = self.named.get_mut(key) {
                requests.retain(|request| *request != id);
                if requests.is_empty() {
                    self.named.remove(key);
                }
            }
        }
    }
}

impl Graph {
    /// The requests, by their opening: those that are open, and those that were not taken yet.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &Request> {
        self.web.requests.values()
    }

    /// The requests that opened after this one.
    pub fn requests_after(&self, last: RequestId) -> impl Iterator<Item = &Request> {
        self.web.requests.range((Bound::Excluded(last), Bound::Unbounded)).map(|(_, request)| request)
    }

    /// The calls that opened after this one.
    pub fn calls_after(&self, last: CallId) -> impl Iterator<Item = &Call> {
        self.web.calls.range((Bound::Excluded(last), Bound::Unbounded)).map(|(_, call)| call)
    }

    /// One request.
    #[must_use]
    pub fn request(&self, id: RequestId) -> Option<&Request> {
        self.web.requests.get(&id)
    }

    /// The outgoing calls, by their opening: those that are open, and those that were not taken yet.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &Call> {
        self.web.calls.values()
    }

    /// One call.
    #[must_use]
    pub fn call(&self, id: CallId) -> Option<&Call> {
        self.web.calls.get(&id)
    }

    /// Removes a request that has closed, and returns it. Its tasks still name it as their owner, as long
    /// as nothing is seen that puts this in doubt.
    pub fn take_request(&mut self, id: RequestId) -> Option<Request> {
        if self.web.open.contains(&id) { None } else { self.web.requests.remove(&id) }
    }

    /// Removes a call that has closed, and returns it with its owner.
    pub fn take_call(&mut self, id: CallId) -> Option<(Call, Owner)> {
        if self.web.open_calls.contains(&id) {
            return None;
        }
        let owner = self.owner_of_call(self.web.calls.get(&id)?);
        self.web.calls.remove(&id).map(|call| (call, owner))
    }

    /// The task that acts on the thread, if one does for sure.
    pub(super) fn acting(&self, tid: u32) -> Option<usize> {
        match self.actor(tid) {
            Actor::Task(index) => Some(index),
            Actor::Worker | Actor::Thread | Actor::Unknown(_) => None,
        }
    }

    /// Whatever is under way may have gone on unseen, and what was decided since may have been decided
    /// without its best evidence.
    pub(super) fn web_gap(&mut self, since: u64) {
        let unknown = Close { time_ns: self.now, how: Closed::Unknown };
        for id in std::mem::take(&mut self.web.open) {
            self.close_request(id, unknown);
        }
        for id in std::mem::take(&mut self.web.open_calls) {
            self.close_call(id, unknown);
        }
        for link in std::mem::take(&mut self.web.links).into_values() {
            if let Side::Server(served) = &link.side {
                self.forget_served(link.task, served);
            }
        }
        while let Some((_, id)) = self.fresh.requests.pop_if(|(time, _)| *time >= since) {
            if let Some(request) = self.web.requests.get_mut(&id) {
                request.lose(since);
            }
        }
        while let Some((_, id)) = self.fresh.calls.pop_if(|(time, _)| *time >= since) {
            if let Some(call) = self.web.calls.get_mut(&id) {
                call.lose(since);
            }
        }
    }
}

impl Request {
    fn lose(&mut self, since: u64) {
        self.times = None;
        // Whose poll its head was read in is known by events that the gap may have swallowed.
        if self.opened_ns >= since {
            self.task = None;
        }
        if let Some(end) = &mut self.end {
            end.how = Closed::Unknown;
        }
    }
}

impl Call {
    fn lose(&mut self, since: u64) {
        if let Some(end) = &mut self.end
            && end.time_ns >= since
        {
            end.how = Closed::Unknown;
        }
        if self.claim.since_ns >= since {
            self.claim = super::call::Claim::default();
            self.lost = true;
        }
        // Who asked, and who else, may have been lost.
        self.askers.clear();
    }
}
