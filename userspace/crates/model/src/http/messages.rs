//! What messages and the ends of connections do to what is under way there.

use crate::Graph;
use crate::http::connection::{Head, MAX_CONNECTIONS, OpenConnection, Side, is_interim};
use crate::http::correlation::Ids;
use crate::http::request::{Close, Closed, HeadLine};
use crate::ids::TaskIndex;
use asyncscope_trace::event::{At, Change, Connection, Message, Start};

impl Graph {
    /// Takes a [`asyncscope_trace::event::What::Message`].
    pub(crate) fn message(&mut self, at: &At, message: &Message) {
        let task = match message.by {
            Some(running) => self.named(running),
            None => self.acting(at.tid),
        };
        match (&message.start, message.written) {
            (Start::Request { method, path, cut }, written) => {
                let line = HeadLine { method: method.as_slice().into(), path: path.as_slice().into(), cut: *cut };
                let head =
                    Head { line, ids: Ids::of(&message.values, &self.config.headers), task, overlaps: message.early };
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
    pub(crate) fn connection_changed(&mut self, at: &At, connection: Connection, change: Change) {
        let Some(link) = self.http.remove_connection(connection) else {
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

    /// Returns `true` if the task is being polled on this thread, and a panic began in that poll.
    fn is_unwinding(&self, tid: u32, task: Option<TaskIndex>) -> bool {
        let innermost = self.scheduler.innermost(tid);
        innermost.is_some_and(|frame| frame.task.is_some() && frame.task == task && frame.panics > 0)
    }

    /// Ends all that is under way on a connection.
    pub(crate) fn end_link(&mut self, link: OpenConnection, how: Closed) {
        let now = self.clock.now;
        match link.side {
            Side::Server(served) => {
                self.forget_served(link.task, &served);
                let of_streams = served.streams.into_values();
                for id in served.current.into_iter().chain(of_streams) {
                    let over = self.http.request(id).and_then(|request| request.task_over);
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
    pub(crate) fn link(
        &mut self,
        connection: Connection,
        task: Option<TaskIndex>,
        side: fn() -> Side,
    ) -> Option<&mut OpenConnection> {
        let contradicts = |link: &OpenConnection| std::mem::discriminant(&link.side) != std::mem::discriminant(&side());
        if self.http.connection(connection).is_some_and(contradicts) {
            self.abandon(connection);
        }
        if !self.http.connections.contains_key(&connection) && self.http.connections.len() >= MAX_CONNECTIONS {
            self.totals.unfollowed += 1;
            return None;
        }
        self.http.connections.entry(connection).or_insert_with(|| OpenConnection {
            task: None,
            has_read: false,
            side: side(),
        });
        self.hold(connection, task, false);
        self.http.connection_mut(connection)
    }

    /// The task read a head on the connection, or wrote one.
    pub(crate) fn hold(&mut self, connection: Connection, task: Option<TaskIndex>, reads: bool) {
        let Some((link, index)) = self.http.connection_mut(connection).zip(task) else {
            return;
        };
        let is_new = link.task != task && (reads || !link.has_read);
        link.has_read |= reads;
        if is_new {
            link.task = task;
            let connections = &mut self.tasks[index].http_role_or_new().connections;
            if !connections.contains(&connection) {
                connections.push(connection);
            }
        }
    }

    /// Gives the connection up: what was under way is not known any more.
    pub(crate) fn abandon(&mut self, connection: Connection) {
        if let Some(link) = self.http.remove_connection(connection) {
            self.end_link(link, Closed::Unknown);
        }
    }

    /// The connections of a task that ended: nobody is left to read from those of HTTP/2, unless it only ever
    /// wrote.
    pub(crate) fn end_links_of(&mut self, task: TaskIndex, connections: Vec<Connection>, how: Closed, all: bool) {
        for connection in connections {
            let link = self.http.connection(connection);
            let ends =
                link.is_some_and(|link| link.task == Some(task) && (all || (link.has_read && link.is_multiplexed())));
            if let Some(link) = ends.then(|| self.http.remove_connection(connection)).flatten() {
                self.end_link(link, how);
            }
        }
    }
}
