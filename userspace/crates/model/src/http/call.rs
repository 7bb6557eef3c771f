//! Calls: what the target asks of others.

use serde::Serialize;

use crate::http::correlation::Ids;
use crate::http::request::{Close, Closed, HeadLine};
use crate::ids::{CallId, TaskIndex};
use crate::task::askers::Askers;
use crate::task::owner::Owner;
use asyncscope_trace::event::{Connection, TaskId};

/// An outgoing call: a request that the target wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub id: CallId,
    /// The connection that it went through.
    pub connection: Connection,
    /// Its HTTP/2 stream; 0 for HTTP/1.
    pub substream: u32,
    /// The first line of its head.
    pub line: HeadLine,
    /// The IDs in its head.
    pub ids: Ids,
    /// The task that wrote its head: a pooled connection's, more often than the one that asked for it.
    pub task: Option<TaskId>,
    /// The time at which its head was written, in nanoseconds.
    pub opened_ns: u64,
    /// Its end; `None` while it is open, and at the end of a recording if it was open then.
    pub end: Option<Close>,
    /// The gRPC status of its response, if it had one.
    pub grpc_status: Option<u8>,
    pub(crate) claim: Claim,
    /// Those who may have asked for it, where nothing says who did.
    pub(crate) askers: Askers,
    /// A gap took the claim back.
    pub(crate) retracted: bool,
}

/// The evidence by which it was decided whose a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Its head bears an ID that exactly one open request had.
    Id,
    /// The task that wrote it was serving that request, or was spawned for it and served no other.
    Task,
    /// Its response woke a task of that request.
    Reply,
    /// A task of that request gave the call up, or wanted the body of its response: it woke the task that has the
    /// other half of the exchange.
    Exchange,
    /// Tasks of the candidates woke the connection's task before it wrote the head. Another may have asked unseen.
    Wake,
}

/// A claim of whose a call is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) owner: Owner,
    pub(crate) by: Option<Evidence>,
    /// The task that the claim hangs from: if it turns out to serve others, the claim falls.
    pub(crate) through: Option<TaskIndex>,
    /// The time at which it was made, so that a gap can take it back.
    pub(crate) since_ns: u64,
}

impl Call {
    /// Takes back what events since then have said and a gap may have swallowed the other half of.
    pub(crate) fn retract(&mut self, since: u64) {
        if let Some(end) = &mut self.end
            && end.time_ns >= since
        {
            end.how = Closed::Unknown;
        }
        if self.claim.since_ns >= since {
            self.claim = Claim::default();
            self.retracted = true;
        }
        // Who asked, and who else, may have been lost.
        self.askers.clear();
    }
}
