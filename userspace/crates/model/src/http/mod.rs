//! What the graph knows of HTTP.

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
use crate::http::connection::OpenConnection;
use crate::http::correlation::Key;
use crate::http::request::Request;
use crate::ids::{CallId, RequestId, TaskIndex};
use asyncscope_trace::event::Connection;

/// Requests, calls, and the connections that they go through.
#[derive(Debug, Default)]
pub(crate) struct Http {
    pub(crate) connections: HashMap<Connection, OpenConnection>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) calls: BTreeMap<CallId, Call>,
    pub(crate) last_request: u64,
    pub(crate) last_call: u64,
    pub(crate) open: BTreeSet<RequestId>,
    pub(crate) open_calls: BTreeSet<CallId>,
    /// Those that have closed, oldest first, where only the newest are kept.
    pub(crate) closed: VecDeque<RequestId>,
    pub(crate) closed_calls: VecDeque<CallId>,
    /// The requests by the IDs they came with: the open ones, and the newest that have closed.
    pub(crate) named: HashMap<Key, Vec<RequestId>>,
    /// The requests by the IDs that closed ones came with, oldest first.
    pub(crate) named_closed: VecDeque<(RequestId, Vec<Key>)>,
    /// The ends of the newest polls, oldest first: when, in nanoseconds, and of which task.
    pub(crate) recent: VecDeque<(u64, TaskIndex)>,
    /// The types of tasks that were seen to write calls for others.
    pub(crate) client_types: HashSet<u64>,
}

/// Requests, and calls, that are kept after they closed, with [`super::Detail::Totals`].
pub(crate) const MAX_KEPT: usize = 1 << 14;

impl Http {
    /// A request has closed: it may be time for the oldest to go.
    pub(crate) fn keep(&mut self, id: RequestId) {
        self.closed.push_back(id);
        if self.closed.len() > MAX_KEPT
            && let Some(oldest) = self.closed.pop_front().filter(|oldest| !self.open.contains(oldest))
        {
            self.requests.remove(&oldest);
        }
    }

    /// The same for calls.
    pub(crate) fn keep_call(&mut self, id: CallId) {
        self.closed_calls.push_back(id);
        if self.closed_calls.len() > MAX_KEPT
            && let Some(oldest) = self.closed_calls.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }

    /// Whether any head was ever seen.
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
