//! Requests: what the target serves.
//!
//! A request opens when its head has been read and its predecessor on the connection has closed, and
//! closes when the head of its response is written. HTTP/1 answers in order, so the oldest open request of
//! a connection is the one that a response closes; on HTTP/2 the stream says which.

use crate::http::correlation::Ids;
use crate::ids::{RequestId, TaskIndex};
use crate::task::lifecycle::Times;
use crate::task::waits::Awaits;
use asyncscope_trace::event::{Connection, TaskId};

/// A request that the target serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// The connection that it came on.
    pub connection: Connection,
    /// Its HTTP/2 stream; 0 for HTTP/1.
    pub substream: u32,
    /// The first line of its head.
    pub line: HeadLine,
    /// The IDs in its head, or, where there are none, in that of its response.
    pub ids: Ids,
    /// `true` if the service made up `ids`, and only its response bears them.
    pub named_by_response: bool,
    /// The time at which it opened, in nanoseconds.
    pub opened_ns: u64,
    /// Its end; `None` while it is open, and at the end of a recording if it was open then.
    pub end: Option<Close>,
    /// The gRPC status of its response, if it had one.
    pub grpc_status: Option<u8>,
    /// The task that serves it: the connection's, or on HTTP/2 the stream's own. `None` where a thread
    /// outside of every task does, or it is not known.
    pub task: Option<TaskId>,
    /// The times spent running, off the CPU, ready and waiting by the task that serves it, from opening to
    /// closing. They add up to that time. `None` where that task was not known all the time.
    pub times: Option<Times>,
    /// Its task's waits while it served this request alone, over HTTP/1, where histories are kept.
    pub awaits: Awaits,
    /// The part of a task's life that `times` is being counted from.
    pub(crate) share: Option<TaskShare>,
    /// The connection's task.
    pub(crate) reader: Option<TaskIndex>,
    /// The time at which the stream's task ended, if that was before a response.
    pub(crate) task_over: Option<u64>,
    /// The task that wrote the response's head.
    pub(crate) answered_by: Option<TaskIndex>,
    /// `true` if another request on its HTTP/1 connection was under way at the same time.
    pub(crate) overlapped: bool,
}

/// The first line of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadLine {
    /// The method. Escape it before you show it.
    pub method: Box<[u8]>,
    /// The path without its query. Escape it before you show it.
    pub path: Box<[u8]>,
    /// `true` if the path was longer.
    pub cut: bool,
}

/// The end of a request, or of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The time, in nanoseconds. For [`Closed::Unknown`]: when it was lost sight of.
    pub time_ns: u64,
    /// The kind of end.
    pub how: Closed,
}

/// The kinds of end of a request or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// With a response.
    Answered {
        /// Its status.
        status: u16,
    },
    /// The connection, or the task that served it, ended without one.
    Cancelled,
    /// The task that served it panicked.
    Panicked,
    /// Not known: events are missing, or the connection could not be followed.
    Unknown,
}

/// The part of a task's life that counts for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskShare {
    pub(crate) task: TaskIndex,
    pub(crate) from: Times,
}

impl Request {
    /// From opening to closing, in nanoseconds; `None` while it is open or where the end is not known.
    #[must_use]
    pub fn duration_ns(&self) -> Option<u64> {
        let end = self.end.filter(|end| end.how != Closed::Unknown)?;
        Some(end.time_ns.saturating_sub(self.opened_ns))
    }

    /// Takes back what events since then have said and a gap may have swallowed the other half of.
    pub(crate) fn retract(&mut self, since: u64) {
        self.times = None;
        // Whose poll its head was read in is known by events that the gap may have swallowed.
        if self.opened_ns >= since {
            self.task = None;
        }
        if let Some(end) = &mut self.end {
            end.how = Closed::Unknown;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end.is_none()
    }
}
