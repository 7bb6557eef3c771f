//! Calls: how they open and close, and whose they are.
//!
//! A call is of the request whose ID it bears. One without an ID is of the request that the task that
//! wrote it was serving. But clients keep connections in pools, each with a task of its own that writes
//! for whoever asks. The answer shows it then: having read the response, the connection's task wakes
//! the one that waits for it. hyper hands HTTP/1 responses over at once
//! (<https://github.com/hyperium/hyper/blob/7f67699ce32d717081deb7018b4da7d679277ac0/src/proto/h1/dispatch.rs>);
//! those of HTTP/2 take the way through a task that was spawned for this one stream, ends with it, and
//! wakes the one that asked.

use crate::Graph;
use crate::config::Detail;
use crate::http::call::{Call, Claim, Evidence};
use crate::http::connection::{Called, Head, MAX_STREAMS, MAX_WAITING, Side};
use crate::http::request::{Close, Closed};
use crate::ids::{CallId, RequestId, TaskIndex};
use crate::task::http_role::{Relay, Reply};
use crate::task::owner::Owner;
use asyncscope_trace::event::Message;

/// Tasks kept that a relaying task woke.
const MAX_WOKEN: usize = 8;

impl Graph {
    /// The head of a request was written.
    pub(crate) fn call_written(&mut self, tid: u32, message: &Message, head: Head) {
        let client = || Side::Client(Called::default());
        if self.link(message.connection, head.task, client).is_none() {
            return;
        }
        self.know_streams(message);
        self.totals.calls += 1;
        let id = self.http.next_call();
        let claim = self.claim_at_opening(&head);
        let unclaimed = head.task.filter(|_| claim.owner == Owner::None);
        let askers = unclaimed
            .map(|index| self.askers(tid, index, message.connection, message.substream != 0))
            .unwrap_or_default();
        if let Some(index) = head.task {
            self.writes_calls(index, &claim.owner);
        }
        if let Some(index) = head.task.filter(|_| message.substream == 0) {
            self.begin_exchange(index, unclaimed.map(|_| id));
        }
        self.http.add_call(Call {
            id,
            connection: message.connection,
            substream: message.substream,
            line: head.line,
            ids: head.ids,
            task: head.task.map(|index| self.tasks[index].id),
            opened_ns: self.clock.now,
            end: None,
            grpc_status: None,
            claim,
            askers,
            retracted: false,
        });
        self.mark_call(tid, id);
        if message.substream != 0 {
            self.mark_stream(tid, id);
        }
        self.undo.call_changed(self.clock.now, id);
        self.line_up(message, id);
    }

    /// The first stream of a client is 1 (<https://www.rfc-editor.org/rfc/rfc9113#section-5.1.1>): where another is
    /// the first that is seen, there were others.
    fn know_streams(&mut self, message: &Message) {
        let now = self.clock.now;
        if let Some(called) = self.http.called(message.connection) {
            let since_ns = if message.substream > 1 { now } else { 0 };
            called.since_ns.get_or_insert(since_ns);
        }
    }

    fn line_up(&mut self, message: &Message, id: CallId) {
        let Some(called) = self.http.called(message.connection) else {
            return;
        };
        let (before, oldest) = match message.substream {
            0 => {
                called.line.push_back(id);
                (None, if called.line.len() > MAX_WAITING { called.line.pop_front() } else { None })
            }
            substream => {
                let before = called.streams.insert(substream, id);
                let oldest = if called.streams.len() > MAX_STREAMS { called.streams.pop_first() } else { None };
                (before, oldest.map(|(_, id)| id))
            }
        };
        for id in before.into_iter().chain(oldest) {
            self.close_call(id, Close { time_ns: self.clock.now, how: Closed::Unknown });
        }
    }

    /// A task that writes a call while it serves no request is a client's connection, or asks by itself.
    fn writes_calls(&mut self, index: TaskIndex, owner: &Owner) {
        let task = &self.tasks[index];
        if !task.serves().is_empty() || task.is_server || task.is_stream {
            return;
        }
        let own = self.owner_at(index);
        let for_others = owner.candidates().iter().any(|id| !own.candidates().contains(id));
        let task = &mut self.tasks[index];
        task.is_client = true;
        task.had_contact |= for_others;
        self.http.client_types.insert(task.vtable);
    }

    fn claim_at_opening(&self, head: &Head) -> Claim {
        let named = self.named_by(head);
        let serving: Vec<RequestId> = head.task.map_or(&[][..], |index| self.serving(index)).to_vec();
        let both: Vec<RequestId> = named.iter().filter(|id| serving.contains(id)).copied().collect();
        let (candidates, by) = match (named.len(), serving.len()) {
            (1, 0) => (named, Some(Evidence::Id)),
            (1, _) if !both.is_empty() => (named, Some(Evidence::Id)),
            (0, 1) => (serving, Some(Evidence::Task)),
            _ if both.len() == 1 => (both, Some(Evidence::Task)),
            // Contradiction, or too little evidence. A reply may yet.
            _ => ([named, serving].concat(), None),
        };
        Claim { owner: Owner::of(candidates), by, through: None, since_ns: self.clock.now }
    }

    fn serving(&self, index: TaskIndex) -> &[RequestId] {
        self.tasks.get(index).map_or(&[], |task| task.serves())
    }

    /// The requests that came with an ID that the head bears, those that have closed among them: what they left
    /// running may still call.
    fn named_by(&self, head: &Head) -> Vec<RequestId> {
        let mut named: Vec<RequestId> =
            head.ids.keys().filter_map(|key| self.http.named.get(&key)).flatten().copied().collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    /// The head of a response was read.
    pub(crate) fn response_read(&mut self, tid: u32, message: &Message, status: u16) {
        let called = self.http.called(message.connection);
        let id = called.and_then(|called| match message.substream {
            0 => called.line.pop_front(),
            substream => called.streams.get(&substream).copied(),
        });
        let Some(id) = id else {
            self.totals.unmatched_responses += 1;
            return;
        };
        if let Some(call) = self.http.call_mut(id) {
            call.grpc_status = message.grpc_status.or(call.grpc_status);
        }
        self.close_call(id, Close { time_ns: self.clock.now, how: Closed::Answered { status } });
        self.mark_call(tid, id);
        self.hold(message.connection, self.acting(tid), true);
        let epoch = self.clock.epoch;
        if let Some(index) = self.acting(tid) {
            self.tasks[index].http_role_or_new().reply = Some(Reply { call: id, epoch, to: None });
            self.answer_exchange(index, id);
        }
    }

    /// Trailers after a response were read.
    pub(crate) fn trailers_read(&mut self, message: &Message) {
        let called = self.http.called(message.connection);
        let id = called.and_then(|called| called.streams.remove(&message.substream));
        if let Some(call) = id.and_then(|id| self.http.call_mut(id)) {
            call.grpc_status = message.grpc_status.or(call.grpc_status);
        }
    }

    /// Closes a call, if it is open.
    pub(crate) fn close_call(&mut self, id: CallId, close: Close) {
        self.http.open_calls.remove(&id);
        if let Some(call) = self.http.call_mut(id).filter(|call| call.end.is_none()) {
            call.end = Some(close);
            self.undo.call_changed(self.clock.now, id);
            if self.config.detail == Detail::Totals {
                self.http.keep_call(id);
                self.thin_undo();
            }
        }
    }

    /// Returns the owner of a call.
    #[must_use]
    pub fn owner_of_call(&self, call: &Call) -> Owner {
        self.decided(call).0
    }

    /// Returns the evidence for that; `None` where it was not decided.
    #[must_use]
    pub fn evidence_of_call(&self, call: &Call) -> Option<Evidence> {
        self.decided(call).1
    }

    fn decided(&self, call: &Call) -> (Owner, Option<Evidence>) {
        let claim = &call.claim;
        let holds = claim.through.is_none_or(|index| self.owner_at(index) == claim.owner);
        if holds && claim.owner != Owner::None {
            return (claim.owner.clone(), claim.by);
        }
        // A task that one request had spawned, which asked for itself and not for others.
        match call.task.filter(|_| !call.retracted).map(|task| self.owner(task)) {
            Some(Owner::Request(id)) => (Owner::Request(id), Some(Evidence::Task)),
            _ => match Owner::likely(self.likely(call)) {
                Owner::None => (Owner::None, None),
                likely => (likely, Some(Evidence::Wake)),
            },
        }
    }

    /// A task that has just read a response woke another.
    pub(crate) fn replied(&mut self, waker: TaskIndex, woken: TaskIndex) {
        let reply = self.tasks[waker].http_role_mut().and_then(|role| role.reply.take());
        let Some(reply) = reply.filter(|reply| reply.epoch == self.clock.epoch) else {
            return;
        };
        if reply.to.is_some() {
            self.replied_again(waker, woken, reply);
            return;
        }
        let id = reply.call;
        match self.doing(woken) {
            _ if self.is_stream_task_of(woken, id) => self.relay(id, woken),
            // On HTTP/2 the one that asked is never woken by the connection itself for the head of its
            // response, but for the body of another.
            Owner::Request(_) if self.is_stream_call(id) => {}
            Owner::Request(request) => {
                self.claim_by_reply(id, request, woken);
                self.tasks[waker].http_role_or_new().reply = Some(Reply { to: Some(request), ..reply });
            }
            Owner::None if !self.tasks[woken].is_server => self.relay(id, woken),
            Owner::Ambiguous(requests) if !self.is_stream_call(id) => self.narrow_by_reply(id, &requests),
            Owner::Ambiguous(_) | Owner::None => {}
        }
    }

    /// One response for tasks of several requests: they share the call, and which of them asked for it is not known.
    fn replied_again(&mut self, waker: TaskIndex, woken: TaskIndex, reply: Reply) {
        self.tasks[waker].http_role_or_new().reply = Some(reply);
        if let Owner::Request(other) = self.doing(woken)
            && reply.to != Some(other)
        {
            self.share_call(reply.call, other);
        }
    }

    fn share_call(&mut self, id: CallId, other: RequestId) {
        let now = self.clock.now;
        if !self.came_before(other, id) {
            return;
        }
        let Some(call) = self.http.call_mut(id).filter(|call| call.claim.by == Some(Evidence::Reply)) else {
            return;
        };
        call.claim = match call.claim.owner.or(other) {
            Owner::None => Claim { owner: Owner::None, by: None, through: None, since_ns: now },
            owner => Claim { owner, by: Some(Evidence::Reply), through: None, since_ns: now },
        };
        let connection = call.connection;
        self.undo.call_changed(now, id);
        self.note_askers(connection, vec![other]);
    }

    fn is_stream_call(&self, id: CallId) -> bool {
        self.http.call(id).is_some_and(|call| call.substream != 0)
    }

    fn relay(&mut self, call: CallId, woken: TaskIndex) {
        let epoch = self.clock.epoch;
        let relay = &mut self.tasks[woken].http_role_or_new().relay;
        // A task that is woken for two calls before it has passed on the first is none that serves one.
        *relay = if relay.is_some() { None } else { Some(Relay { call, epoch, woke: Vec::new() }) };
    }

    /// A task woke one of a request's.
    pub(crate) fn relayed(&mut self, waker: TaskIndex, woken: TaskIndex) {
        if let Some(relay) = self.tasks[waker].http_role_mut().and_then(|role| role.relay.as_mut())
            && relay.woke.len() < MAX_WOKEN
        {
            relay.woke.push(woken);
        }
    }

    /// The poll of a task is over: if it was to pass a response on, and ended with that, it showed to whom.
    pub(crate) fn relay_over(&mut self, index: TaskIndex, ended: bool) {
        let relay = self.tasks[index].http_role_mut().and_then(|role| role.relay.take());
        let Some(relay) = relay.filter(|relay| ended && relay.epoch == self.clock.epoch) else {
            return;
        };
        let owners: Vec<Owner> = relay.woke.iter().map(|&woken| self.doing(woken)).collect();
        let requests: Option<Vec<RequestId>> = owners.iter().map(Owner::request).collect();
        let Some([request, rest @ ..]) = requests.as_deref() else {
            return;
        };
        self.claim_by_reply(relay.call, *request, relay.woke[0]);
        for &other in rest.iter().filter(|&other| other != request) {
            self.share_call(relay.call, other);
        }
    }

    /// Returns `true` if the request's head was read before the call's was written. Where it was not, the wake that
    /// speaks for the request was late: whoever passes a value on stores it first and wakes then, and by that time the
    /// woken task may have found the value, finished what it did, and begun to serve the next request.
    fn came_before(&self, request: RequestId, call: CallId) -> bool {
        let opened = self.http.request(request).map(|request| request.opened_ns);
        let written = self.http.call(call).map(|call| call.opened_ns);
        matches!((opened, written), (Some(opened), Some(written)) if opened <= written)
    }

    fn claim_by_reply(&mut self, id: CallId, request: RequestId, woken: TaskIndex) {
        if !self.came_before(request, id) {
            return;
        }
        let lives = !self.serving(woken).contains(&request);
        let now = self.clock.now;
        let Some(call) = self.http.call_mut(id) else {
            return;
        };
        match &call.claim.owner {
            // By the task of another, that may fall later.
            Owner::Request(other) if *other == request && call.claim.through.is_none() => {}
            // One says this, and the other that: neither is believed.
            Owner::Request(other) if *other != request => {
                self.totals.contradictions += 1;
                call.claim = Claim { owner: Owner::of(vec![*other, request]), by: None, through: None, since_ns: now };
                self.undo.call_changed(now, id);
            }
            owner if *owner == Owner::None || owner.candidates().contains(&request) => {
                let through = lives.then_some(woken);
                call.claim =
                    Claim { owner: Owner::Request(request), by: Some(Evidence::Reply), through, since_ns: now };
                let connection = call.connection;
                self.undo.call_changed(now, id);
                self.note_askers(connection, vec![request]);
            }
            _ => self.totals.contradictions += 1,
        }
    }

    /// A task that works for one of these requests was woken by the response.
    fn narrow_by_reply(&mut self, id: CallId, requests: &[RequestId]) {
        let now = self.clock.now;
        if !requests.iter().all(|&request| self.came_before(request, id)) {
            return;
        }
        let Some(call) = self.http.call_mut(id) else {
            return;
        };
        let known = call.claim.owner.candidates();
        let left: Vec<RequestId> = match &call.claim.owner {
            Owner::Request(_) => return,
            Owner::None => requests.to_vec(),
            Owner::Ambiguous(_) => requests.iter().filter(|request| known.contains(request)).copied().collect(),
        };
        if left.is_empty() {
            self.totals.contradictions += 1;
            return;
        }
        call.claim = Claim { owner: Owner::of(left), by: Some(Evidence::Reply), through: None, since_ns: now };
        self.undo.call_changed(now, id);
    }
}
