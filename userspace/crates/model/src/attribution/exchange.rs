//! Exchanges: what wakes say of a call that bears no ID and whose answer woke nobody.
//!
//! A pooled connection's task writes a call because somebody asked it to, by a wake. That the task of one request
//! alone was seen to wake it makes this request a *candidate*, and no more: a second message finds the waker of
//! tokio's channels taken by the first (<https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/sync/task/atomic_waker.rs>)
//! and wakes nobody, and a message whose sender has gone is passed over for the next.
//!
//! What comes later can make it a claim. One who gives up drops his half of the channel that the answer was to come
//! through, which wakes the task that holds the other half: the connection's, which closes an HTTP/1 connection in its
//! very next poll (<https://github.com/hyperium/hyper/blob/7f67699ce32d717081deb7018b4da7d679277ac0/src/proto/h1/dispatch.rs>),
//! or the stream's own, spawned right after the head was written
//! (<https://github.com/hyperium/hyper/blob/7f67699ce32d717081deb7018b4da7d679277ac0/src/proto/h2/client.rs>). And one
//! who reads a body says that he wants it, which wakes the connection's task without a new head. A call over HTTP/1 is
//! claimed where such a wake came from a task of the very request whose task had the head written, and of no other.

use crate::Graph;
use crate::http::call::{Call, Claim, Evidence};
use crate::http::connection::{MAX_STREAMS, Side};
use crate::ids::{CallId, RequestId, TaskIndex};
use crate::scheduling::thread::Frame;
use crate::task::askers::{Askers, Asking, RequestLink};
use crate::task::http_role::{Exchange, Touch};
use crate::task::owner::{MAX_CANDIDATES, Owner};
use asyncscope_trace::event::Connection;

impl Graph {
    /// Returns those who may have asked for the call whose head this task writes on this thread.
    pub(crate) fn askers(&mut self, tid: u32, writer: TaskIndex, connection: Connection, multiplexed: bool) -> Askers {
        let epoch = self.clock.epoch;
        let mut askers = self.woken_by(tid, writer);
        if multiplexed {
            self.leave_out_earlier(&mut askers, connection);
        }
        if askers.is_empty() {
            askers.add(epoch, self.own_askers(tid, writer));
        }
        // Of several messages that came before one poll, the first alone wakes.
        if multiplexed && (!askers.is_empty() || self.wrote_before(tid, writer)) {
            askers.add(epoch, self.recently_polled(tid, writer));
        }
        if multiplexed {
            self.note_askers(connection, askers.links.iter().map(RequestLink::request).collect());
        }
        // Among so many, naming some says nothing.
        if askers.incomplete || askers.links.len() > MAX_CANDIDATES { Askers::default() } else { askers }
    }

    /// Over HTTP/2, one whose stream ends wakes the connection's task as well, and may let an older call out. That
    /// is no asker; nor is one that may have had a stream before anything of the connection was seen.
    fn leave_out_earlier(&self, askers: &mut Askers, connection: Connection) {
        let Some(Side::Client(called)) = self.http.connection(connection).map(|connection| &connection.side) else {
            return;
        };
        let since_ns = called.since_ns.unwrap_or_default();
        let is_younger = |id| self.http.request(id).is_some_and(|request| request.opened_ns >= since_ns);
        askers.links.retain(|link| !called.askers.contains(&link.request()) && is_younger(link.request()));
    }

    /// These have a call on the connection, or may have.
    pub(crate) fn note_askers(&mut self, connection: Connection, requests: Vec<RequestId>) {
        if let Some(called) = self.http.called(connection) {
            called.askers.extend(requests);
            while called.askers.len() > MAX_STREAMS {
                called.askers.pop_first();
            }
        }
    }

    /// Those who woke it before this poll, or since the last head that it wrote in this poll.
    fn woken_by(&mut self, tid: u32, writer: TaskIndex) -> Askers {
        let epoch = self.clock.epoch;
        let frame = self.thread(tid).frames.last_mut().filter(|frame| frame.task == Some(writer));
        let before = frame.map(|frame| frame.marks.take_askers().of(epoch)).unwrap_or_default();
        if !before.is_empty() {
            return before;
        }
        let role = self.tasks[writer].http_role_mut();
        role.map(|role| std::mem::take(&mut role.askers).of(epoch)).unwrap_or_default()
    }

    /// Those by whose task a new connection's was spawned, or a body is read that this task writes.
    fn own_askers(&self, tid: u32, writer: TaskIndex) -> Vec<RequestLink> {
        let task = &self.tasks[writer];
        let spawned_for = if task.polls <= 1 { self.lineage_owner(writer) } else { Owner::None };
        let of_spawner = spawned_for.candidates().iter().map(|id| RequestLink::new(*id, writer, false));
        let asking = match self.asking(tid, writer) {
            Asking::Direct(link) => vec![link],
            Asking::Likely(links) => links,
            Asking::Unknown => Vec::new(),
        };
        of_spawner.chain(asking).collect()
    }

    /// This poll has written the head of another stream before.
    fn wrote_before(&self, tid: u32, writer: TaskIndex) -> bool {
        let innermost = self.scheduler.innermost(tid);
        innermost.is_some_and(|frame| {
            frame.task == Some(writer) && frame.marks.http().is_some_and(|http| http.stream.is_some())
        })
    }

    /// Those whose tasks were polled since the writer became ready, or are being polled now.
    fn recently_polled(&self, tid: u32, writer: TaskIndex) -> Vec<RequestLink> {
        let innermost = self.scheduler.innermost(tid);
        let Some(since) = innermost.filter(|frame| frame.task == Some(writer)).map(|frame| frame.marks.ready_ns) else {
            return Vec::new();
        };
        if self.gaps.last().is_some_and(|gap| gap.until_ns >= since) {
            return Vec::new();
        }
        let ended = self.http.polled_since(since);
        let running = self.scheduler.threads().flat_map(|thread| &thread.frames).filter(|frame| frame.holds());
        let polled = ended.chain(running.filter_map(|frame| frame.task)).filter(|&index| index != writer);
        let mut links: Vec<RequestLink> = Vec::new();
        for link in polled.filter_map(|index| self.link_to(index).or_else(|| self.link_to_body(index))) {
            if links.len() <= MAX_CANDIDATES && !links.iter().any(|known| known.request() == link.request()) {
                links.push(link);
            }
        }
        links
    }

    /// A poll of this task is over.
    pub(crate) fn note_recent(&mut self, index: TaskIndex) {
        if self.http.is_used() && !self.tasks[index].runtime {
            self.http.polled(self.clock.now, index);
        }
    }

    /// The requests that the task works for, as far as that can make them candidates: those that it serves or was
    /// spawned for, the one whose body it may still be writing, the one that asked it.
    fn asking(&self, tid: u32, index: TaskIndex) -> Asking {
        if let Some(link) = self.link_to(index).or_else(|| self.link_to_body(index)) {
            return Asking::Direct(link);
        }
        if let Owner::Ambiguous(ids) = self.doing(index) {
            return Asking::Likely(ids.into_iter().map(|id| RequestLink::new(id, index, false)).collect());
        }
        let innermost = self.scheduler.innermost(tid);
        let own = innermost.filter(|frame| frame.task == Some(index) && frame.epoch == self.clock.epoch);
        match own.and_then(|frame| frame.marks.http()).map(|http| &http.askers.links) {
            Some(links) if !links.is_empty() => Asking::Likely(links.clone()),
            _ => Asking::Unknown,
        }
    }

    /// After the head of a response, the connection's task writes the body, until it reads the next head.
    fn link_to_body(&self, index: TaskIndex) -> Option<RequestLink> {
        let role = self.tasks.get(index)?.http_role()?;
        let (request, _) = role.answered.filter(|(_, epoch)| *epoch == self.clock.epoch)?;
        role.serves.is_empty().then(|| RequestLink::new(request, index, false))
    }

    /// An actor is asked in one poll, and may have the call written in a later one.
    pub(crate) fn keep_askers(&mut self, index: TaskIndex, frame: &mut Frame) {
        let askers = frame.marks.take_askers().of(self.clock.epoch);
        let task = &mut self.tasks[index];
        if !askers.is_empty() && frame.epoch == self.clock.epoch && !task.is_client && !task.is_server {
            task.http_role_or_new().askers.add(self.clock.epoch, askers.links);
        }
    }

    /// One task woke another that is no task of a request: it may ask for a call, or belong to one under way.
    pub(crate) fn note_asking(&mut self, tid: u32, waker: TaskIndex, woken: TaskIndex) {
        if self.tasks[woken].is_server {
            return;
        }
        let asking = self.asking(tid, waker);
        let of_stream = self.tasks[woken].http_role().and_then(|role| role.stream_call);
        if let Some((call, epoch)) = of_stream {
            if let Asking::Direct(link) = asking
                && epoch == self.clock.epoch
            {
                self.claim_of_stream(call, waker, link);
            }
            return;
        }
        let epoch = self.clock.epoch;
        // What nobody of a request asks for is nobody's, and so is a task that was never asked before.
        let role = match asking {
            Asking::Unknown => self.tasks[woken].http_role_mut(),
            Asking::Direct(_) | Asking::Likely(_) => Some(self.tasks[woken].http_role_or_new()),
        };
        let Some(role) = role else {
            return;
        };
        if let Some(exchange) = role.exchange.as_mut().filter(|exchange| exchange.epoch == epoch) {
            exchange.touch = exchange.touch.and(&asking);
        }
        match asking {
            Asking::Direct(link) => role.askers.add(epoch, [link]),
            Asking::Likely(links) => {
                role.askers.add(epoch, links);
                role.askers.note_uncertain(epoch);
            }
            Asking::Unknown => role.askers.note_unknown(epoch),
        }
    }

    /// A call's head was written over HTTP/1, by a task that is not the request's own.
    pub(crate) fn begin_exchange(&mut self, writer: TaskIndex, call: Option<CallId>) {
        let before = self.tasks[writer].http_role_mut().and_then(|role| role.exchange.take());
        // Two wakes by one task, and one new head: the other was for the body of the last response.
        let read_on = |before: &Exchange| before.follows && matches!(before.touch, Touch::By(_, 2..));
        self.settle_exchange(before.filter(|before| before.answered && read_on(before)));
        let epoch = self.clock.epoch;
        let begun = call.map(|call| Exchange { call, epoch, answered: false, touch: Touch::Nobody, follows: false });
        if begun.is_some() {
            self.tasks[writer].http_role_or_new().exchange = begun;
        }
    }

    /// The response of the call was read.
    pub(crate) fn answer_exchange(&mut self, reader: TaskIndex, call: CallId) {
        let exchange = self.tasks[reader].http_role_mut().and_then(|role| role.exchange.as_mut());
        if let Some(exchange) = exchange.filter(|exchange| exchange.call == call) {
            (exchange.answered, exchange.touch, exchange.follows) = (true, Touch::Nobody, false);
        }
    }

    /// A poll of the task begins.
    pub(crate) fn exchange_polled(&mut self, index: TaskIndex) {
        if let Some(exchange) = self.tasks[index].http_role_mut().and_then(|role| role.exchange.as_mut()) {
            exchange.follows = exchange.touch != Touch::Nobody;
        }
    }

    /// A poll of the task is over, in which it wrote no further head.
    pub(crate) fn exchange_left(&mut self, index: TaskIndex) {
        let Some(role) = self.tasks[index].http_role_mut() else {
            return;
        };
        let Some(exchange) = role.exchange.as_mut().filter(|exchange| exchange.follows) else {
            return;
        };
        if exchange.answered {
            let exchange = role.exchange.take();
            self.settle_exchange(exchange);
        } else {
            (exchange.touch, exchange.follows) = (Touch::Nobody, false);
        }
    }

    /// The connection ends while its task is polled: whoever had it polled may have given up.
    pub(crate) fn exchange_ended(&mut self, index: TaskIndex) {
        let exchange = self.tasks[index].http_role_mut().and_then(|role| role.exchange.take());
        self.settle_exchange(exchange.filter(|exchange| exchange.follows && !exchange.answered));
    }

    fn settle_exchange(&mut self, exchange: Option<Exchange>) {
        let Some(exchange) = exchange.filter(|exchange| exchange.epoch == self.clock.epoch) else {
            return;
        };
        let (id, now) = (exchange.call, self.clock.now);
        let Touch::By(link, _) = exchange.touch else {
            return;
        };
        let Some(call) = self.http.call_mut(id).filter(|call| call.claim.owner == Owner::None && !call.retracted)
        else {
            return;
        };
        if call.askers.only() == Some(link.request()) {
            call.claim = claimed(link, now);
            self.undo.call_changed(now, id);
        } else {
            call.askers.add(exchange.epoch, [link]);
        }
    }

    /// A task of a request woke the one that a connection's had spawned for this one stream: the two hold the halves
    /// of the channel for its response.
    fn claim_of_stream(&mut self, id: CallId, waker: TaskIndex, link: RequestLink) {
        let now = self.clock.now;
        let is_other = |call: &Call| !call.retracted && !self.is_connections_own(waker, call);
        if !self.http.call(id).is_some_and(is_other) {
            return;
        }
        let Some(call) = self.http.call_mut(id) else {
            return;
        };
        let fits = match &call.claim.owner {
            Owner::None => true,
            Owner::Ambiguous(ids) => ids.contains(&link.request()),
            Owner::Request(_) => false,
        };
        if fits {
            call.claim = claimed(link, now);
            let connection = call.connection;
            self.undo.call_changed(now, id);
            self.note_askers(connection, vec![link.request()]);
        }
    }

    /// The task is the connection's that the call went through. hyper has two of them for HTTP/2, made by one task:
    /// <https://github.com/hyperium/hyper/blob/7f67699ce32d717081deb7018b4da7d679277ac0/src/proto/h2/client.rs>
    fn is_connections_own(&self, index: TaskIndex, call: &Call) -> bool {
        let writer = call.task.and_then(|id| self.task(id));
        let reads = self.http.connection(call.connection).is_some_and(|link| link.task == Some(index));
        let task = &self.tasks[index];
        reads || writer.is_some_and(|writer| writer.id == task.id || writer.parent() == task.parent())
    }

    /// The connection's task spawned this one after it wrote the head of a stream: the last of those is to pass on
    /// the response.
    pub(crate) fn note_stream_task(&mut self, tid: u32, parent: TaskIndex, child: TaskIndex) {
        let epoch = self.clock.epoch;
        let is_its = |frame: &&mut Frame| frame.task == Some(parent) && frame.epoch == epoch;
        let frame = self.thread(tid).frames.last_mut().filter(is_its);
        let Some((call, before)) = frame.and_then(|frame| frame.marks.passes_on(child)) else {
            return;
        };
        if let Some(role) = before.and_then(|before| self.tasks.get_mut(before)?.http_role_mut()) {
            role.stream_call = None;
        }
        self.tasks[child].http_role_or_new().stream_call = Some((call, epoch));
    }

    /// The task was spawned to pass on the response of this call.
    pub(crate) fn is_stream_task_of(&self, index: TaskIndex, call: CallId) -> bool {
        self.tasks[index].http_role().is_some_and(|role| role.stream_call == Some((call, self.clock.epoch)))
    }

    /// The requests that may have asked for a call, where nothing says whose it is.
    pub(crate) fn likely(&self, call: &Call) -> Vec<RequestId> {
        call.askers.links.iter().filter(|link| self.holds(link)).map(RequestLink::request).collect()
    }
}

fn claimed(link: RequestLink, since_ns: u64) -> Claim {
    Claim { owner: Owner::Request(link.request()), by: Some(Evidence::Exchange), through: link.through(), since_ns }
}
