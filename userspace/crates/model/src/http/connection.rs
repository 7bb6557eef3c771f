//! Connections: what is under way on each, and what their ends do to it.
//!
//! What passes says on which side of a connection the target is: who reads requests serves. A key is
//! reused after its connection closed; where the closing was not seen, a contradiction shows it (the other
//! side, or another task reading the next request before the last was answered), and what was under way is
//! unknown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::http::correlation::Ids;
use crate::http::request::HeadLine;
use crate::ids::{CallId, RequestId, TaskIndex};

/// Connections followed at a time.
pub(crate) const MAX_CONNECTIONS: usize = 1 << 16;
/// Streams followed at a time on one connection, with those that are over but may still get trailers.
pub(crate) const MAX_STREAMS: usize = 4096;
/// Requests read ahead on one connection.
pub(crate) const MAX_WAITING: usize = 64;

/// A connection.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    /// The task that last read a head on it, or, until one did, wrote one. On HTTP/2 others write.
    pub(crate) task: Option<TaskIndex>,
    pub(crate) has_read: bool,
    pub(crate) side: Side,
}

#[derive(Debug)]
pub(crate) enum Side {
    Server(Served),
    Client(Called),
}

/// Requests under way on a connection where the target serves.
#[derive(Debug, Default)]
pub(crate) struct Served {
    pub(crate) current: Option<RequestId>,
    pub(crate) waiting: VecDeque<Head>,
    /// The last one that was answered.
    pub(crate) answered: Option<RequestId>,
    /// The last one, while its task may still be at its body, though others of its connection are under way.
    pub(crate) lingering: Option<RequestId>,
    pub(crate) streams: BTreeMap<u32, RequestId>,
}

/// Calls under way on a connection where the target asks.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) line: VecDeque<CallId>,
    pub(crate) streams: BTreeMap<u32, CallId>,
    /// Since when its streams are known, in nanoseconds.
    pub(crate) since_ns: Option<u64>,
    /// The newest requests that a stream is of, or may be.
    pub(crate) askers: BTreeSet<RequestId>,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) line: HeadLine,
    pub(crate) ids: Ids,
    /// The task that read or wrote it.
    pub(crate) task: Option<TaskIndex>,
    /// `true` if it came while the one before it on its connection was being answered.
    pub(crate) overlaps: bool,
}

impl OpenConnection {
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.side, Side::Server(_))
    }

    pub(crate) fn served(&mut self) -> Option<&mut Served> {
        match &mut self.side {
            Side::Server(served) => Some(served),
            Side::Client(_) => None,
        }
    }

    pub(crate) fn called(&mut self) -> Option<&mut Called> {
        match &mut self.side {
            Side::Client(called) => Some(called),
            Side::Server(_) => None,
        }
    }
}

/// A response that another one follows: <https://www.rfc-editor.org/rfc/rfc9110#section-15.2>. 101 is the
/// last in HTTP/1.
pub(crate) fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

impl OpenConnection {
    pub(crate) fn is_multiplexed(&self) -> bool {
        match &self.side {
            Side::Server(served) => !served.streams.is_empty(),
            Side::Client(called) => !called.streams.is_empty(),
        }
    }
}
