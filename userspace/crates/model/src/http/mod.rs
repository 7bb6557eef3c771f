//! HTTP: the requests that the target serves, the calls that it makes, and the connections that they go through.
//!
//! [`Http`] keeps them. What a message means for them, for the tasks that serve and write, and for whose work a call
//! is, is the graph's to work out: `messages`, `server`, `client` and `h2_streams` are parts of it.

pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod correlation;
pub(crate) mod h2_streams;
pub(crate) mod messages;
pub(crate) mod queries;
pub(crate) mod request;
pub(crate) mod server;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use crate::http::call::Call;
use crate::http::connection::{Called, OpenConnection, Served};
use crate::http::correlation::Key;
use crate::http::request::Request;
use crate::ids::{CallId, RequestId, TaskIndex};
use asyncscope_trace::event::Connection;

/// Ends of polls kept.
const MAX_RECENT: usize = 128;

/// Requests, calls, and the connections that they go through.
#[derive(Debug, Default)]
pub(crate) struct Http {
    connections: HashMap<Connection, OpenConnection>,
    requests: BTreeMap<RequestId, Request>,
    calls: BTreeMap<CallId, Call>,
    last_request: u64,
    last_call: u64,
    open: BTreeSet<RequestId>,
    open_calls: BTreeSet<CallId>,
    /// Those that have closed, oldest first, where only the newest are kept.
    closed: VecDeque<RequestId>,
    closed_calls: VecDeque<CallId>,
    /// The requests by the IDs they came with: the open ones, and the newest that have closed.
    named: HashMap<Key, Vec<RequestId>>,
    /// The requests by the IDs that closed ones came with, oldest first.
    named_closed: VecDeque<(RequestId, Vec<Key>)>,
    /// The ends of the newest polls, oldest first: when, in nanoseconds, and of which task.
    recent: VecDeque<(u64, TaskIndex)>,
    /// The types of tasks that were seen to write calls for others.
    client_types: HashSet<u64>,
}

/// Everything that was under way.
#[derive(Debug)]
pub(crate) struct UnderWay {
    pub(crate) requests: BTreeSet<RequestId>,
    pub(crate) calls: BTreeSet<CallId>,
    pub(crate) connections: HashMap<Connection, OpenConnection>,
}

/// Requests, and calls, that are kept after they closed, with [`crate::Detail::Totals`].
pub(crate) const MAX_KEPT: usize = 1 << 14;

impl Http {
    /// Returns a request that has not been taken yet.
    pub(crate) fn request(&self, id: RequestId) -> Option<&Request> {
        self.requests.get(&id)
    }

    pub(crate) fn request_mut(&mut self, id: RequestId) -> Option<&mut Request> {
        self.requests.get_mut(&id)
    }

    /// Returns a call that has not been taken yet.
    pub(crate) fn call(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id)
    }

    pub(crate) fn call_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.get_mut(&id)
    }

    /// Returns a connection that is followed.
    pub(crate) fn connection(&self, connection: Connection) -> Option<&OpenConnection> {
        self.connections.get(&connection)
    }

    fn connection_mut(&mut self, connection: Connection) -> Option<&mut OpenConnection> {
        self.connections.get_mut(&connection)
    }

    fn remove_connection(&mut self, connection: Connection) -> Option<OpenConnection> {
        self.connections.remove(&connection)
    }

    /// Returns what is under way on a connection, if the target serves there.
    pub(crate) fn served(&mut self, connection: Connection) -> Option<&mut Served> {
        self.connections.get_mut(&connection)?.served()
    }

    /// Returns what is under way on a connection, if the target asks there.
    pub(crate) fn called(&mut self, connection: Connection) -> Option<&mut Called> {
        self.connections.get_mut(&connection)?.called()
    }

    /// Takes all open requests, all open calls and all connections: none of them is known to be any more.
    pub(crate) fn take_under_way(&mut self) -> UnderWay {
        let (requests, calls) = (std::mem::take(&mut self.open), std::mem::take(&mut self.open_calls));
        UnderWay { requests, calls, connections: std::mem::take(&mut self.connections) }
    }

    /// Notes the end of a task's poll.
    pub(crate) fn polled(&mut self, now: u64, task: TaskIndex) {
        self.recent.push_back((now, task));
        if self.recent.len() > MAX_RECENT {
            self.recent.pop_front();
        }
    }

    /// Iterates over the tasks of the newest polls that ended since then, the newest first.
    pub(crate) fn polled_since(&self, since: u64) -> impl Iterator<Item = TaskIndex> {
        self.recent.iter().rev().take_while(move |(end, _)| *end >= since).map(|&(_, index)| index)
    }

    /// Returns `true` if a task of this type was seen to write calls for others.
    pub(crate) fn is_client_type(&self, vtable: u64) -> bool {
        self.client_types.contains(&vtable)
    }

    /// Returns `true` if nothing is open, and no more IDs are remembered than may be.
    #[cfg(test)]
    pub(crate) fn is_small(&self) -> bool {
        self.named.len() <= MAX_KEPT && self.open.is_empty() && self.open_calls.is_empty()
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }

    fn next_call(&mut self) -> CallId {
        self.last_call += 1;
        CallId(self.last_call)
    }

    /// Adds a request, which is open.
    fn add_request(&mut self, request: Request) {
        for key in request.ids.keys() {
            self.named.entry(key).or_default().push(request.id);
        }
        self.open.insert(request.id);
        self.requests.insert(request.id, request);
    }

    /// Adds a call, which is open.
    fn add_call(&mut self, call: Call) {
        self.open_calls.insert(call.id);
        self.calls.insert(call.id, call);
    }

    /// A request has closed: it may be time for the oldest to go.
    pub(crate) fn keep(&mut self, id: RequestId) {
        self.closed.push_back(id);
        if self.closed.len() > MAX_KEPT
            && let Some(oldest) = self.closed.pop_front().filter(|oldest| !self.open.contains(oldest))
        {
            self.requests.remove(&oldest);
        }
    }

    /// Takes that a call has closed: it may be time for the oldest to go.
    pub(crate) fn keep_call(&mut self, id: CallId) {
        self.closed_calls.push_back(id);
        if self.closed_calls.len() > MAX_KEPT
            && let Some(oldest) = self.closed_calls.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }

    /// Returns `true` if any head was ever seen.
    pub(crate) fn is_used(&self) -> bool {
        self.last_request > 0 || self.last_call > 0
    }

    /// A request that came with these IDs has closed. What it left running may go on to call with them.
    pub(crate) fn keep_names(&mut self, id: RequestId, keys: Vec<Key>) {
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
