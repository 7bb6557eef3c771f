//! Calls: what the target asks of others.

use serde::Serialize;

use super::correlation::Ids;
use super::exchange::Askers;
use super::request::{Close, Line, RequestId};
use asyncscope_trace::event::{Connection, TaskId};

/// A call's number, in the order in which heads were written; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// An outgoing call: a request that the target wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub id: CallId,
    /// The connection that it went through.
    pub connection: Connection,
    /// Its HTTP/2 stream; 0 for HTTP/1.
    pub substream: u32,
    /// What was asked for.
    pub line: Line,
    /// The IDs in its head.
    pub ids: Ids,
    /// The task that wrote its head: a pooled connection's, more often than the one that asked for it.
    pub task: Option<TaskId>,
    /// When its head was written, in nanoseconds.
    pub opened_ns: u64,
    /// Its end; `None` while it is open, and at the end of a recording if it was open then.
    pub end: Option<Close>,
    /// The gRPC status of its response, if it had one.
    pub grpc_status: Option<u8>,
    pub(super) claim: Claim,
    /// Those who may have asked for it, where nothing says who did.
    pub(super) askers: Askers,
    /// Whether a gap took the claim back.
    pub(super) lost: bool,
}

/// Whose work something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Of this request.
    Request(RequestId),
    /// Of one of these requests, or, by [`Evidence::Wake`], likely so; which one is not known. At most
    /// [`MAX_CANDIDATES`], oldest first.
    Ambiguous(Vec<RequestId>),
    /// Of none that is known.
    #[default]
    None,
}

/// Candidates kept where it is not known whose work something is.
pub const MAX_CANDIDATES: usize = 8;

/// How it was decided whose a call is.
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

/// What is claimed of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) owner: Owner,
    pub(super) by: Option<Evidence>,
    /// The task that the claim hangs from: if it turns out to serve others, the claim falls.
    pub(super) through: Option<usize>,
    /// When it was made, so that a gap can take it back.
    pub(super) since_ns: u64,
}

impl Owner {
    pub(super) fn of(mut candidates: Vec<RequestId>) -> Self {
        candidates.sort_unstable();
        candidates.dedup();
        candidates.truncate(MAX_CANDIDATES);
        match candidates.as_slice() {
            [] => Self::None,
            [one] => Self::Request(*one),
            _ => Self::Ambiguous(candidates),
        }
    }

    /// Candidates, even if it is one alone.
    pub(super) fn likely(mut candidates: Vec<RequestId>) -> Self {
        candidates.sort_unstable();
        if candidates.is_empty() { Self::None } else { Self::Ambiguous(candidates) }
    }

    /// The request, if it is known.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::Request(id) => Some(*id),
            Self::Ambiguous(_) | Self::None => None,
        }
    }

    /// All requests that it may be of.
    #[must_use]
    pub fn candidates(&self) -> &[RequestId] {
        match self {
            Self::Request(id) => std::slice::from_ref(id),
            Self::Ambiguous(ids) => ids,
            Self::None => &[],
        }
    }
}
