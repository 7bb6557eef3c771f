//! Serving: how requests open and close, and where their time goes.

use crate::Graph;
use crate::config::Detail;
use crate::http::connection::{Head, MAX_STREAMS, MAX_WAITING, Served, Side};
use crate::http::correlation::Ids;
use crate::http::request::{Close, Closed, Request, TaskShare};
use crate::ids::{RequestId, TaskIndex};
use crate::task::lifecycle::{How, Times};
use crate::task::waits::Awaits;
use asyncscope_trace::event::{Connection, Message};

impl Graph {
    /// The head of a request was read.
    pub(crate) fn request_read(&mut self, message: &Message, mut head: Head) {
        let (connection, substream) = (message.connection, message.substream);
        if substream == 0 && self.is_read_by_another(connection, head.task) {
            self.abandon(connection);
        }
        let server = || Side::Server(Served::default());
        if self.link(connection, head.task, server).is_none() {
            return;
        }
        self.hold(connection, head.task, true);
        self.note_sharing(connection, head.task);
        if substream == 0 {
            self.linger(connection, head.task, head.overlaps);
            head.overlaps |= self.overlap(connection);
        }
        let Some(served) = self.http.served(connection) else {
            return;
        };
        if substream != 0 {
            self.open_stream(connection, substream, head);
        } else if served.current.is_none() {
            self.open_next(connection, head);
        } else if served.waiting.len() < MAX_WAITING {
            let reader = head.task;
            served.waiting.push_back(head);
            // actix-web runs the handler of the next before it writes the head of the one before.
            if let Some(index) = reader {
                self.tasks[index].is_server = true;
                self.tasks[index].http_role_or_new().read_ahead += 1;
            }
        } else {
            self.abandon(connection);
        }
    }

    /// The task serves the request from now on, or may do so.
    fn serve(&mut self, task: Option<TaskIndex>, id: RequestId) {
        if let Some(index) = task {
            self.tasks[index].is_server = true;
            let serves = &mut self.tasks[index].http_role_or_new().serves;
            if !serves.contains(&id) {
                serves.push(id);
            }
        }
    }

    /// A head is read: before the last response has gone through whole, its task may still be at that one's body.
    fn linger(&mut self, connection: Connection, reader: Option<TaskIndex>, early: bool) {
        let Some(served) = self.http.served(connection) else {
            return;
        };
        let lingering = if early { served.lingering.or(served.answered) } else { None };
        let over = std::mem::replace(&mut served.lingering, lingering).filter(|over| Some(*over) != lingering);
        if let Some(index) = reader {
            over.into_iter().for_each(|over| self.tasks[index].stop_serving(over));
            self.tasks[index].http_role_or_new().answered = None;
        }
        lingering.into_iter().for_each(|id| self.serve(reader, id));
    }

    /// The head of the response was written over HTTP/1: its body may follow, and the body of the one before has gone.
    fn answered(&mut self, connection: Connection, id: RequestId) {
        let Some((reader, overlapped)) = self.http.request(id).map(|one| (one.reader, one.overlapped)) else {
            return;
        };
        let Some(served) = self.http.served(connection) else {
            return;
        };
        served.answered = Some(id);
        let over = std::mem::replace(&mut served.lingering, overlapped.then_some(id));
        let Some(index) = reader else {
            return;
        };
        over.into_iter().for_each(|over| self.tasks[index].stop_serving(over));
        if overlapped {
            self.serve(reader, id);
        } else {
            self.tasks[index].http_role_or_new().answered = Some((id, self.clock.epoch));
        }
    }

    /// The connection is not followed any more: its task is not known to serve what waits or lingers there.
    pub(crate) fn forget_served(&mut self, task: Option<TaskIndex>, served: &Served) {
        served.waiting.iter().for_each(|head| self.stop_waiting(head));
        for id in served.lingering.into_iter().chain(served.answered) {
            if let Some(role) = task.and_then(|index| self.tasks[index].http_role_mut()) {
                role.serves.retain(|served| *served != id);
                role.answered = role.answered.filter(|(answered, _)| *answered != id);
            }
        }
    }

    /// A request is open on the connection, which another task reads from: it is another connection.
    fn is_read_by_another(&mut self, connection: Connection, task: Option<TaskIndex>) -> bool {
        let Some(link) = self.http.connection_mut(connection) else {
            return false;
        };
        let other = link.task.is_some() && task.is_some() && link.task != task;
        other && link.served().is_some_and(|served| served.current.is_some())
    }

    fn stop_waiting(&mut self, head: &Head) {
        if let Some(role) = head.task.and_then(|index| self.tasks[index].http_role_mut()) {
            role.read_ahead = role.read_ahead.saturating_sub(1);
        }
    }

    fn open_next(&mut self, connection: Connection, head: Head) {
        let id = self.open_request(connection, 0, head);
        if let Some(served) = self.http.served(connection) {
            served.current = Some(id);
        }
    }

    fn open_stream(&mut self, connection: Connection, substream: u32, head: Head) {
        let id = self.open_request(connection, substream, head);
        let Some(served) = self.http.served(connection) else {
            return;
        };
        let before = served.streams.insert(substream, id);
        let oldest = if served.streams.len() > MAX_STREAMS { served.streams.pop_first() } else { None };
        for id in before.into_iter().chain(oldest.map(|(_, id)| id)) {
            self.close_request(id, Close { time_ns: self.clock.now, how: Closed::Unknown });
        }
    }

    fn open_request(&mut self, connection: Connection, substream: u32, head: Head) -> RequestId {
        self.totals.requests += 1;
        let id = self.http.next_request();
        let mut request = Request {
            id,
            connection,
            substream,
            line: head.line,
            ids: head.ids,
            named_by_response: false,
            opened_ns: self.clock.now,
            end: None,
            grpc_status: None,
            task: None,
            times: None,
            awaits: Awaits::default(),
            share: None,
            reader: head.task,
            task_over: None,
            answered_by: None,
            overlapped: head.overlaps,
        };
        if let Some(index) = head.task {
            let from = self.times_now(index);
            let task = &mut self.tasks[index];
            task.is_server = true;
            if !self.config.sampled {
                request.times = Some(Times::default());
                request.share = Some(TaskShare { task: index, from });
            }
            if substream == 0 {
                request.task = Some(task.id);
                self.serve(head.task, id);
            } else if !self.config.sampled {
                self.accept(index, id);
            }
        }
        self.http.add_request(request);
        id
    }

    /// The head of a response was written.
    pub(crate) fn response_written(&mut self, message: &Message, status: u16, task: Option<TaskIndex>) {
        let served = self.http.served(message.connection);
        let id = served.and_then(|served| match message.substream {
            0 => served.current.take(),
            substream => served.streams.get(&substream).copied(),
        });
        let Some(id) = id else {
            self.totals.unmatched_responses += 1;
            return;
        };
        self.name_by_response(id, message);
        if let Some(request) = self.http.request_mut(id) {
            request.answered_by = task;
        }
        if let Some(index) = task.filter(|_| message.substream != 0) {
            self.answered_by_task(id, index);
        }
        let close = Close { time_ns: self.clock.now, how: Closed::Answered { status } };
        self.revive_cancelled(id);
        self.close_request(id, close);
        if message.substream == 0 {
            self.answered(message.connection, id);
            self.open_waiting(message.connection);
        }
    }

    /// A stream's task was over, and its response came all the same: it had been held up.
    fn revive_cancelled(&mut self, id: RequestId) {
        if let Some(request) = self.http.request_mut(id)
            && request.end.is_some_and(|end| end.how == Closed::Cancelled)
        {
            request.end = None;
            request.times = None;
        }
    }

    fn open_waiting(&mut self, connection: Connection) {
        let served = self.http.served(connection);
        if let Some(head) = served.and_then(|served| served.waiting.pop_front()) {
            self.stop_waiting(&head);
            self.open_next(connection, head);
        }
    }

    /// The service may have made up an ID of its own. One that the request came with goes first.
    fn name_by_response(&mut self, id: RequestId, message: &Message) {
        let ids = Ids::of(&message.values, &self.config.headers);
        if let Some(request) = self.http.request_mut(id) {
            request.grpc_status = message.grpc_status.or(request.grpc_status);
            if request.ids.is_empty() && !ids.is_empty() {
                request.ids = ids;
                request.named_by_response = true;
            }
        }
    }

    /// Trailers after a response were written.
    pub(crate) fn trailers_written(&mut self, message: &Message) {
        let served = self.http.served(message.connection);
        let id = served.and_then(|served| served.streams.remove(&message.substream));
        if let Some(request) = id.and_then(|id| self.http.request_mut(id)) {
            request.grpc_status = message.grpc_status.or(request.grpc_status);
        }
    }

    /// Closes a request, if it is open.
    pub(crate) fn close_request(&mut self, id: RequestId, close: Close) {
        let Some(request) = self.http.request_mut(id).filter(|request| request.is_open()) else {
            return;
        };
        request.end = Some(close);
        let reader = request.reader.filter(|_| self.config.sampled);
        let keys: Vec<_> = if request.named_by_response { Vec::new() } else { request.ids.keys().collect() };
        self.http.open.remove(&id);
        self.http.keep_names(id, keys);
        if let Some(reader) = reader {
            self.tasks[reader].stop_serving(id);
        }
        self.settle_times(id, close);
        self.undo.request_closed(self.clock.now, id);
        if self.config.detail == Detail::Totals {
            self.http.keep(id);
            self.thin_undo();
        }
    }

    fn settle_times(&mut self, id: RequestId, close: Close) {
        let share = self.http.request_mut(id).and_then(|request| request.share.take());
        let more = share.map(|share| {
            self.tasks[share.task].stop_serving(id);
            let over = self.tasks[share.task].end().is_some_and(|end| end.time_ns < close.time_ns);
            (self.times_now(share.task).since(&share.from), over)
        });
        let Some(request) = self.http.request_mut(id) else {
            return;
        };
        // What the connection's task did after the stream's own was over is not the request's.
        let more = if request.task_over == Some(close.time_ns) { Some((Times::default(), false)) } else { more };
        let known = request.task.is_some() && close.how != Closed::Unknown;
        let more = more.filter(|(_, over)| known && !over);
        request.times = request.times.zip(more).map(|(times, (more, _))| times.plus(&more));
    }

    pub(crate) fn times_now(&mut self, index: TaskIndex) -> Times {
        let now = self.clock.now;
        let task = &mut self.tasks[index];
        task.charge(now);
        task.times()
    }

    /// A task ended: what it served ends with it, or is for its connection to say.
    pub(crate) fn served_to_the_end(&mut self, task: TaskIndex, how: How) {
        let Some(role) = self.tasks[task].take_http_role() else {
            return;
        };
        let closed = match how {
            How::Panicked => Some(Closed::Panicked),
            How::Cancelled => Some(Closed::Cancelled),
            How::Completed | How::AbortedWhileRunning | How::Unknown => None,
        };
        for id in role.serves {
            match closed {
                Some(how) => self.close_request(id, Close { time_ns: self.clock.now, how }),
                None => self.leave_to_connection(id, self.clock.now),
            }
        }
        let all = closed.is_some();
        self.end_links_of(task, role.connections, closed.unwrap_or(Closed::Cancelled), all);
    }

    /// A stream's task is done. Its response may still be on its way through the connection's.
    pub(crate) fn leave_to_connection(&mut self, id: RequestId, over: u64) {
        let Some(request) = self.http.request_mut(id).filter(|request| request.substream != 0) else {
            return;
        };
        request.task_over = Some(over);
        let (share, reader) = (request.share.take(), request.reader);
        let more = share.map(|share| self.times_now(share.task).since(&share.from));
        let reader = reader.filter(|&reader| !self.tasks[reader].has_ended());
        let from = reader.map(|reader| TaskShare { task: reader, from: self.times_now(reader) });
        if let Some(request) = self.http.request_mut(id) {
            request.times = request.times.zip(more).map(|(times, more)| times.plus(&more));
            request.share = from;
        }
        if let Some(reader) = reader {
            self.tasks[reader].http_role_or_new().over.push((over, id));
        }
    }

    /// The connection's task was polled since these streams' tasks were over, and has not answered: it has
    /// nothing to answer with. (A client can reset a stream; then hyper's task for it just ends.)
    pub(crate) fn cancel_silent(&mut self, reader: TaskIndex, poll_began: u64) {
        let Some(role) = self.tasks[reader].http_role_mut() else {
            return;
        };
        let (silent, rest) = std::mem::take(&mut role.over).into_iter().partition(|(over, _)| *over <= poll_began);
        role.over = rest;
        let silent: Vec<(u64, RequestId)> = silent;
        for (over, id) in silent {
            self.close_request(id, Close { time_ns: over, how: Closed::Cancelled });
        }
    }

    /// Open requests at the end of the recording stay open; their times go up to it.
    pub(crate) fn charge_open(&mut self) {
        let open: Vec<RequestId> = self.http.open.iter().copied().collect();
        for id in open {
            self.settle_times(id, Close { time_ns: self.clock.now, how: Closed::Cancelled });
        }
    }
}
