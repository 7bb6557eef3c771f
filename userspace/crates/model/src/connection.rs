//! Connections: what is under way on each, and what their ends do to it.
//!
//! What passes says on which side of a connection the target is: who reads requests serves. A key is
//! reused after its connection closed; where the closing was not seen, a contradiction shows it (the other
//! side, or another task reading the next request before the last was answered), and what was under way is
//! unknown.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Graph;
use super::call::CallId;
use super::correlation::Ids;
use super::request::{Close, Closed, Line, RequestId};
use asyncscope_trace::event::{At, Change, Connection, Message, Start};

/// Connections followed at a time.
pub(super) const MAX_CONNECTIONS: usize = 1 << 16;
/// Streams followed at a time on one connection, with those that are over but may still get trailers.
pub(super) const MAX_STREAMS: usize = 4096;
/// Requests read ahead on one connection.
pub(super) const MAX_WAITING: usize = 64;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    /// The task that last read a head on it, or, until one did, wrote one. On HTTP/2 others write.
    pub(super) task: Option<usize>,
    has_read: bool,
    pub(super) side: Side,
}

#[derive(Debug)]
pub(super) enum Side {
    Server(Served),
    Client(Called),
}

/// What is under way where the target serves.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) current: Option<RequestId>,
    pub(super) waiting: VecDeque<Head>,
    /// The last one that was answered.
    pub(super) answered: Option<RequestId>,
    /// The same, while its task may still be at its body, though others of its connection are under way.
    pub(super) lingering: Option<RequestId>,
    pub(super) streams: BTreeMap<u32, RequestId>,
}

/// What is under way where the target asks.
#[derive(Debug, Default)]
pub(super) struct Called {
    pub(super) line: VecDeque<CallId>,
    pub(super) streams: BTreeMap<u32, CallId>,
    /// Since when its streams are known, in nanoseconds.
    pub(super) since_ns: Option<u64>,
    /// The newest requests that a stream is of, or may be.
    pub(super) askers: BTreeSet<RequestId>,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) line: Line,
    pub(super) ids: Ids,
    /// The task that read or wrote it.
    pub(super) task: Option<usize>,
    /// Whether it came while the one before it on its connection was being answered.
    pub(super) overlaps: bool,
}

impl Link {
    pub(super) fn is_served(&self) -> bool {
        matches!(self.side, Side::Server(_))
    }

    pub(super) fn served(&mut self) -> Option<&mut Served> {
        match &mut self.side {
            Side::Server(served) => Some(served),
            Side::Client(_) => None,
        }
    }

    pub(super) fn called(&mut self) -> Option<&mut Called> {
        match &mut self.side {
            Side::Client(called) => Some(called),
            Side::Server(_) => None,
        }
    }
}

/// A response that another one follows: <https://www.rfc-editor.org/rfc/rfc9110#section-15.2>. 101 is the
/// last in HTTP/1.
pub(super) fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}

impl Graph {
    /// Takes a [`asyncscope_trace::event::What::Message`].
    pub(super) fn message(&mut self, at: &At, message: &Message) {
        let task = match message.by {
            Some(running) => self.named(running),
            None => self.acting(at.tid),
        };
        match (&message.start, message.written) {
            (Start::Request { method, path, cut }, written) => {
                let line = Line { method: method.as_slice().into(), path: path.as_slice().into(), cut: *cut };
                let head =
                    Head { line, ids: Ids::of(&message.values, &self.setup.headers), task, overlaps: message.early };
                match written {
                    false => self.request_read(message, head),
                    true => self.call_written(at.tid, message, head),
                }
            }
            (Start::Response { status }, _) if is_interim(*status) => {}
            (Start::Response { status }, true) => self.response_written(message, *status, task),
            (Start::Response { status }, false) => self.response_read(at.tid, message, *status),
            (Start::Trailers, true) => self.trailers_written(message),
            (Start::Trailers, false) => self.trailers_read(message),
        }
    }

    /// Takes a [`asyncscope_trace::event::What::Stream`].
    pub(super) fn connection_changed(&mut self, at: &At, connection: Connection, change: Change) {
        let Some(link) = self.web.links.remove(&connection) else {
            return;
        };
        if let Some(index) = link.task.filter(|&index| self.acting(at.tid) == Some(index)) {
            self.exchange_ended(index);
        }
        let how = match change {
            Change::Lost => Closed::Unknown,
            Change::Closed if self.is_unwinding(at.tid, link.task) => Closed::Panicked,
            Change::Closed | Change::Left => Closed::Cancelled,
        };
        self.end_link(link, how);
    }

    /// Whether the task is being polled on this thread, and a panic began in that poll.
    fn is_unwinding(&self, tid: u32, task: Option<usize>) -> bool {
        let innermost = self.threads.get(&tid).and_then(|thread| thread.frames.last());
        innermost.is_some_and(|frame| frame.task.is_some() && frame.task == task && frame.panics > 0)
    }

    /// Ends all that is under way on a connection.
    pub(super) fn end_link(&mut self, link: Link, how: Closed) {
        let now = self.now;
        match link.side {
            Side::Server(served) => {
                self.forget_served(link.task, &served);
                let of_streams = served.streams.into_values();
                for id in served.current.into_iter().chain(of_streams) {
                    let over = self.web.requests.get(&id).and_then(|request| request.task_over);
                    self.close_request(id, Close { time_ns: over.unwrap_or(now), how });
                }
            }
            Side::Client(called) => {
                // A panic of the connection's task is no panic of whoever asked.
                let how = if how == Closed::Panicked { Closed::Cancelled } else { how };
                for id in called.line.into_iter().chain(called.streams.into_values()) {
                    self.close_call(id, Close { time_ns: now, how });
                }
            }
        }
    }

    /// The connection, with the target on the side that `side` says; `None` where there are too many.
    pub(super) fn link(
        &mut self,
        connection: Connection,
        task: Option<usize>,
        side: fn() -> Side,
    ) -> Option<&mut Link> {
        let contradicts = |link: &Link| std::mem::discriminant(&link.side) != std::mem::discriminant(&side());
        if self.web.links.get(&connection).is_some_and(contradicts) {
            self.abandon(connection);
        }
        if !self.web.links.contains_key(&connection) && self.web.links.len() >= MAX_CONNECTIONS {
            self.totals.unfollowed += 1;
            return None;
        }
        self.web.links.entry(connection).or_insert_with(|| Link { task: None, has_read: false, side: side() });
        self.hold(connection, task, false);
        self.web.links.get_mut(&connection)
    }

    /// The task read a head on the connection, or wrote one.
    pub(super) fn hold(&mut self, connection: Connection, task: Option<usize>, reads: bool) {
        let Some((link, index)) = self.web.links.get_mut(&connection).zip(task) else {
            return;
        };
        let is_new = link.task != task && (reads || !link.has_read);
        link.has_read |= reads;
        if is_new {
            link.task = task;
            let connections = &mut self.tasks[index].duties_mut().connections;
            if !connections.contains(&connection) {
                connections.push(connection);
            }
        }
    }

    /// What was under way is not known any more.
    pub(super) fn abandon(&mut self, connection: Connection) {
        if let Some(link) = self.web.links.remove(&connection) {
            self.end_link(link, Closed::Unknown);
        }
    }

    /// The connections of a task that ended: nobody is left to read from those of HTTP/2, unless it only ever
    /// wrote.
    pub(super) fn end_links_of(&mut self, task: usize, connections: Vec<Connection>, how: Closed, all: bool) {
        for connection in connections {
            let link = self.web.links.get(&connection);
            let ends =
                link.is_some_and(|link| link.task == Some(task) && (all || (link.has_read && link.is_multiplexed())));
            if let Some(link) = ends.then(|| self.web.links.remove(&connection)).flatten() {
                self.end_link(link, how);
            }
        }
    }
}

impl Link {
    fn is_multiplexed(&self) -> bool {
        match &self.side {
            Side::Server(served) => !served.streams.is_empty(),
            Side::Client(called) => !called.streams.is_empty(),
        }
    }
}
