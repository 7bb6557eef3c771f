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

use super::Graph;
use super::call::{Call, CallId, Claim, Evidence, MAX_CANDIDATES, Owner};
use super::connection::{Link as ConnectionLink, MAX_STREAMS};
use super::request::RequestId;
use super::stretch::Link;
use super::thread::Frame;
use asyncscope_trace::event::Connection;

/// Ends of polls kept.
const MAX_RECENT: usize = 128;

/// A call over HTTP/1 that a connection's task has under way, or whose answer it is about to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    call: CallId,
    /// The gaps when it began.
    epoch: u64,
    answered: bool,
    /// Who woke the connection's task since the head was written or, once it was, the response's was read.
    touch: Touch,
    /// The poll that follows such a wake is under way.
    follows: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Nobody,
    /// Tasks of this request, so many times.
    By(Link, u32),
    Several,
}

impl Touch {
    fn and(self, asking: &Asking) -> Self {
        match (self, asking) {
            (Self::Nobody, Asking::Direct(link)) => Self::By(*link, 1),
            (Self::By(one, times), Asking::Direct(link)) if one.request() == link.request() => {
                Self::By(one, times.saturating_add(1))
            }
            _ => Self::Several,
        }
    }
}

/// Those who may have asked for a call, one link a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Askers {
    links: Vec<Link>,
    /// Each of these may only have asked the one that asked.
    uncertain: bool,
    /// There is another, of whom nothing is known: naming these would say too much.
    incomplete: bool,
    /// The gaps when the last of them was noted: earlier ones are forgotten.
    epoch: u64,
}

impl Askers {
    fn add(&mut self, epoch: u64, links: impl IntoIterator<Item = Link>) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
        for link in links {
            if self.links.len() <= MAX_CANDIDATES && !self.links.iter().any(|known| known.request() == link.request()) {
                self.links.push(link);
            }
        }
    }

    /// Forgets them: what is to be said of them is not known any more.
    pub(super) fn clear(&mut self) {
        self.links.clear();
    }

    fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    fn only(&self) -> Option<RequestId> {
        match self.links.as_slice() {
            [one] if !self.uncertain => Some(one.request()),
            _ => None,
        }
    }

    fn note_unknown(&mut self, epoch: u64) {
        self.add(epoch, []);
        self.incomplete = true;
    }

    fn note_uncertain(&mut self, epoch: u64) {
        self.add(epoch, []);
        self.uncertain = true;
    }

    fn of(self, epoch: u64) -> Self {
        if self.epoch == epoch { self } else { Self::default() }
    }
}

/// For whom a task that wakes another may do so.
enum Asking {
    /// For the request that it works for.
    Direct(Link),
    /// For one of those that it works for, or that asked it.
    Likely(Vec<Link>),
    Unknown,
}

impl Graph {
    /// Who may have asked for the call whose head this task writes on this thread.
    pub(super) fn askers(&mut self, tid: u32, writer: usize, connection: Connection, multiplexed: bool) -> Askers {
        let epoch = self.epoch;
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
            self.note_askers(connection, askers.links.iter().map(Link::request).collect());
        }
        // Among so many, naming some says nothing.
        if askers.incomplete || askers.links.len() > MAX_CANDIDATES { Askers::default() } else { askers }
    }

    /// Over HTTP/2, one whose stream ends wakes the connection's task as well, and may let an older call out. That
    /// is no asker; nor is one that may have had a stream before anything of the connection was seen.
    fn leave_out_earlier(&mut self, askers: &mut Askers, connection: Connection) {
        if let Some(called) = self.web.links.get_mut(&connection).and_then(ConnectionLink::called) {
            askers.links.retain(|link| !called.askers.contains(&link.request()));
            let since_ns = called.since_ns.unwrap_or_default();
            let requests = &self.web.requests;
            let is_younger = |link: &Link| requests.get(&link.request()).is_some_and(|one| one.opened_ns >= since_ns);
            askers.links.retain(is_younger);
        }
    }

    /// These have a call on the connection, or may have.
    pub(super) fn note_askers(&mut self, connection: Connection, requests: Vec<RequestId>) {
        if let Some(called) = self.web.links.get_mut(&connection).and_then(ConnectionLink::called) {
            called.askers.extend(requests);
            while called.askers.len() > MAX_STREAMS {
                called.askers.pop_first();
            }
        }
    }

    /// Those who woke it before this poll, or since the last head that it wrote in this poll.
    fn woken_by(&mut self, tid: u32, writer: usize) -> Askers {
        let epoch = self.epoch;
        let frame = self.thread(tid).frames.last_mut().filter(|frame| frame.task == Some(writer));
        let before = frame.map(|frame| std::mem::take(&mut frame.marks.askers).of(epoch)).unwrap_or_default();
        if !before.is_empty() {
            return before;
        }
        let duties = self.tasks[writer].if_duties();
        duties.map(|duties| std::mem::take(&mut duties.askers).of(epoch)).unwrap_or_default()
    }

    /// Those by whose task a new connection's was spawned, or a body is read that this task writes.
    fn own_askers(&self, tid: u32, writer: usize) -> Vec<Link> {
        let task = &self.tasks[writer];
        let spawned_for = if task.polls <= 1 { self.lineage_owner(writer) } else { Owner::None };
        let of_spawner = spawned_for.candidates().iter().map(|id| Link::new(*id, writer, false));
        let asking = match self.asking(tid, writer) {
            Asking::Direct(link) => vec![link],
            Asking::Likely(links) => links,
            Asking::Unknown => Vec::new(),
        };
        of_spawner.chain(asking).collect()
    }

    /// This poll has written the head of another stream before.
    fn wrote_before(&self, tid: u32, writer: usize) -> bool {
        let innermost = self.threads.get(&tid).and_then(|thread| thread.frames.last());
        innermost.is_some_and(|frame| frame.task == Some(writer) && frame.marks.wrote_stream())
    }

    /// Those whose tasks were polled since the writer became ready, or are being polled now.
    fn recently_polled(&self, tid: u32, writer: usize) -> Vec<Link> {
        let innermost = self.threads.get(&tid).and_then(|thread| thread.frames.last());
        let Some(since) = innermost.filter(|frame| frame.task == Some(writer)).map(|frame| frame.marks.ready_ns) else {
            return Vec::new();
        };
        if self.gaps.last().is_some_and(|gap| gap.until_ns >= since) {
            return Vec::new();
        }
        let ended = self.web.recent.iter().rev().take_while(|(end, _)| *end >= since).map(|&(_, index)| index);
        let running = self.threads.values().flat_map(|thread| &thread.frames).filter(|frame| frame.holds());
        let polled = ended.chain(running.filter_map(|frame| frame.task)).filter(|&index| index != writer);
        let mut links: Vec<Link> = Vec::new();
        for link in polled.filter_map(|index| self.link_to(index).or_else(|| self.link_to_body(index))) {
            if links.len() <= MAX_CANDIDATES && !links.iter().any(|known| known.request() == link.request()) {
                links.push(link);
            }
        }
        links
    }

    /// A poll of this task is over.
    pub(super) fn note_recent(&mut self, index: usize) {
        if self.web.is_used() && !self.tasks[index].runtime {
            self.web.recent.push_back((self.now, index));
            if self.web.recent.len() > MAX_RECENT {
                self.web.recent.pop_front();
            }
        }
    }

    /// The requests that the task works for, as far as that can make them candidates: those that it serves or was
    /// spawned for, the one whose body it may still be writing, the one that asked it.
    fn asking(&self, tid: u32, index: usize) -> Asking {
        if let Some(link) = self.link_to(index).or_else(|| self.link_to_body(index)) {
            return Asking::Direct(link);
        }
        if let Owner::Ambiguous(ids) = self.doing(index) {
            return Asking::Likely(ids.into_iter().map(|id| Link::new(id, index, false)).collect());
        }
        let innermost = self.threads.get(&tid).and_then(|thread| thread.frames.last());
        let own = innermost.filter(|frame| frame.task == Some(index) && frame.epoch == self.epoch);
        match own.map(|frame| &frame.marks.askers.links) {
            Some(links) if !links.is_empty() => Asking::Likely(links.clone()),
            _ => Asking::Unknown,
        }
    }

    /// After the head of a response, the connection's task writes the body, until it reads the next head.
    fn link_to_body(&self, index: usize) -> Option<Link> {
        let duties = self.tasks.get(index)?.duties()?;
        let (request, _) = duties.answered.filter(|(_, epoch)| *epoch == self.epoch)?;
        duties.serves.is_empty().then(|| Link::new(request, index, false))
    }

    /// An actor is asked in one poll, and may have the call written in a later one.
    pub(super) fn keep_askers(&mut self, index: usize, frame: &mut Frame) {
        let askers = std::mem::take(&mut frame.marks.askers).of(self.epoch);
        let task = &mut self.tasks[index];
        if !askers.is_empty() && frame.epoch == self.epoch && !task.is_client && !task.is_server {
            task.duties_mut().askers.add(self.epoch, askers.links);
        }
    }

    /// One task woke another that is no task of a request: it may ask for a call, or belong to one under way.
    pub(super) fn note_asking(&mut self, tid: u32, waker: usize, woken: usize) {
        if self.tasks[woken].is_server {
            return;
        }
        let asking = self.asking(tid, waker);
        let of_stream = self.tasks[woken].duties().and_then(|duties| duties.stream_call);
        if let Some((call, epoch)) = of_stream {
            if let Asking::Direct(link) = asking
                && epoch == self.epoch
            {
                self.claim_of_stream(call, waker, link);
            }
            return;
        }
        let epoch = self.epoch;
        // What nobody of a request asks for is nobody's, and so is a task that was never asked before.
        let duties = match asking {
            Asking::Unknown => self.tasks[woken].if_duties(),
            Asking::Direct(_) | Asking::Likely(_) => Some(self.tasks[woken].duties_mut()),
        };
        let Some(duties) = duties else {
            return;
        };
        if let Some(exchange) = duties.exchange.as_mut().filter(|exchange| exchange.epoch == epoch) {
            exchange.touch = exchange.touch.and(&asking);
        }
        match asking {
            Asking::Direct(link) => duties.askers.add(epoch, [link]),
            Asking::Likely(links) => {
                duties.askers.add(epoch, links);
                duties.askers.note_uncertain(epoch);
            }
            Asking::Unknown => duties.askers.note_unknown(epoch),
        }
    }

    /// A call's head was written over HTTP/1, by a task that is not the request's own.
    pub(super) fn begin_exchange(&mut self, writer: usize, call: Option<CallId>) {
        let before = self.tasks[writer].if_duties().and_then(|duties| duties.exchange.take());
        // Two wakes by one task, and one new head: the other was for the body of the last response.
        let read_on = |before: &Exchange| before.follows && matches!(before.touch, Touch::By(_, 2..));
        self.settle_exchange(before.filter(|before| before.answered && read_on(before)));
        let epoch = self.epoch;
        let begun = call.map(|call| Exchange { call, epoch, answered: false, touch: Touch::Nobody, follows: false });
        if begun.is_some() {
            self.tasks[writer].duties_mut().exchange = begun;
        }
    }

    /// The response of the call was read.
    pub(super) fn answer_exchange(&mut self, reader: usize, call: CallId) {
        let exchange = self.tasks[reader].if_duties().and_then(|duties| duties.exchange.as_mut());
        if let Some(exchange) = exchange.filter(|exchange| exchange.call == call) {
            (exchange.answered, exchange.touch, exchange.follows) = (true, Touch::Nobody, false);
        }
    }

    /// A poll of the task begins.
    pub(super) fn exchange_polled(&mut self, index: usize) {
        if let Some(exchange) = self.tasks[index].if_duties().and_then(|duties| duties.exchange.as_mut()) {
            exchange.follows = exchange.touch != Touch::Nobody;
        }
    }

    /// A poll of the task is over, in which it wrote no further head.
    pub(super) fn exchange_left(&mut self, index: usize) {
        let Some(duties) = self.tasks[index].if_duties() else {
            return;
        };
        let Some(exchange) = duties.exchange.as_mut().filter(|exchange| exchange.follows) else {
            return;
        };
        if exchange.answered {
            let exchange = duties.exchange.take();
            self.settle_exchange(exchange);
        } else {
            (exchange.touch, exchange.follows) = (Touch::Nobody, false);
        }
    }

    /// The connection ends while its task is polled: whoever had it polled may have given up.
    pub(super) fn exchange_ended(&mut self, index: usize) {
        let exchange = self.tasks[index].if_duties().and_then(|duties| duties.exchange.take());
        self.settle_exchange(exchange.filter(|exchange| exchange.follows && !exchange.answered));
    }

    fn settle_exchange(&mut self, exchange: Option<Exchange>) {
        let Some(exchange) = exchange.filter(|exchange| exchange.epoch == self.epoch) else {
            return;
        };
        let (id, now) = (exchange.call, self.now);
        let Touch::By(link, _) = exchange.touch else {
            return;
        };
        let Some(call) = self.web.calls.get_mut(&id).filter(|call| call.claim.owner == Owner::None && !call.lost)
        else {
            return;
        };
        if call.askers.only() == Some(link.request()) {
            call.claim = claimed(link, now);
            self.fresh.calls.push((now, id));
        } else {
            call.askers.add(exchange.epoch, [link]);
        }
    }

    /// A task of a request woke the one that a connection's had spawned for this one stream: the two hold the halves
    /// of the channel for its response.
    fn claim_of_stream(&mut self, id: CallId, waker: usize, link: Link) {
        let now = self.now;
        let is_other = |call: &&Call| !call.lost && !self.is_connections_own(waker, call);
        if self.web.calls.get(&id).filter(is_other).is_none() {
            return;
        }
        let Some(call) = self.web.calls.get_mut(&id) else {
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
            self.fresh.calls.push((now, id));
            self.note_askers(connection, vec![link.request()]);
        }
    }

    /// The task is the connection's that the call went through. hyper has two of them for HTTP/2, made by one task:
    /// <https://github.com/hyperium/hyper/blob/7f67699ce32d717081deb7018b4da7d679277ac0/src/proto/h2/client.rs>
    fn is_connections_own(&self, index: usize, call: &Call) -> bool {
        let writer = call.task.and_then(|id| self.task(id));
        let reads = self.web.links.get(&call.connection).is_some_and(|link| link.task == Some(index));
        let task = &self.tasks[index];
        reads || writer.is_some_and(|writer| writer.id == task.id || writer.parent() == task.parent())
    }

    /// The connection's task spawned this one after it wrote the head of a stream: the last of those is to pass on
    /// the response.
    pub(super) fn note_stream_task(&mut self, tid: u32, parent: usize, child: usize) {
        let epoch = self.epoch;
        let is_its = |frame: &&mut Frame| frame.task == Some(parent) && frame.epoch == epoch;
        let frame = self.thread(tid).frames.last_mut().filter(is_its);
        let Some((call, before)) = frame.and_then(|frame| frame.marks.passes_on(child)) else {
            return;
        };
        if let Some(duties) = before.and_then(|before| self.tasks.get_mut(before)?.if_duties()) {
            duties.stream_call = None;
        }
        self.tasks[child].duties_mut().stream_call = Some((call, epoch));
    }

    /// The task was spawned to pass on the response of this call.
    pub(super) fn is_stream_task_of(&self, index: usize, call: CallId) -> bool {
        self.tasks[index].duties().is_some_and(|duties| duties.stream_call == Some((call, self.epoch)))
    }

    /// The requests that may have asked for a call, where nothing says whose it is.
    pub(super) fn likely(&self, call: &Call) -> Vec<RequestId> {
        call.askers.links.iter().filter(|link| self.holds(link)).map(Link::request).collect()
    }
}

fn claimed(link: Link, since_ns: u64) -> Claim {
    Claim { owner: Owner::Request(link.request()), by: Some(Evidence::Exchange), through: link.through(), since_ns }
}
