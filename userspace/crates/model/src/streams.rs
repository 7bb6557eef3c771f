//! HTTP/2: which of a connection's spawns serves which of its streams.
//!
//! A server reads the heads of requests in the connection's task, and has each stream served by a task
//! that it spawns there. Nothing in the spawn says for which stream, but the order does: h2 puts streams
//! into a queue as their heads are read and hands them out first in, first out
//! (<https://github.com/hyperium/h2/blob/b0e890842ac16d3c76836fd4fcc06421acb15fa7/src/proto/streams/recv.rs#L1207-L1209>),
//! and hyper spawns one task for each until there is none left, all in the one poll that read them
//! (<https://github.com/hyperium/hyper/blob/7f67699ce32d717081deb7018b4da7d679277ac0/src/proto/h2/server.rs#L246-L310>).
//! So at the end of such a poll there are as many spawns as heads, in the same order; or, where making the
//! service's future spawns as well, the same few types of tasks again and again. Where it is otherwise (h2
//! refuses some heads that it has decoded), the spawns are of one of the requests, and it is not said
//! which, until one of them writes the response. That also proves, or disproves, what the order said.

use super::Graph;
use super::life::{End, How, Parent, Times};
use super::own::Kin;
use super::request::{Close, Closed, RequestId, Share};

/// Heads read in one poll that are kept.
const MAX_HEADS: usize = 4096;

/// What a connection's task read and spawned in one poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accept {
    /// The requests whose heads it read.
    heads: Vec<RequestId>,
    spawns: Vec<Spawned>,
    /// The gaps when the first of them was read.
    epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spawned {
    child: usize,
    vtable: u64,
    /// How many heads had been read.
    heads: usize,
    /// The times of the connection's task.
    times: Times,
}

impl Graph {
    /// The head of a stream's request was read by the connection's task.
    pub(super) fn accept(&mut self, reader: usize, id: RequestId) {
        let epoch = self.epoch;
        let duties = self.tasks[reader].duties_mut();
        let fresh = || Accept { heads: Vec::new(), spawns: Vec::new(), epoch };
        let accept = duties.accept.get_or_insert_with(fresh);
        if accept.heads.len() < MAX_HEADS {
            accept.heads.push(id);
        }
    }

    /// The task spawned a child while it was accepting streams.
    pub(super) fn spawned_while_accepting(&mut self, parent: usize, child: usize) {
        let vtable = self.tasks[child].vtable;
        if self.tasks[parent].duties().is_none_or(|duties| duties.accept.is_none()) {
            return;
        }
        let times = self.times_now(parent);
        if let Some(accept) = &mut self.tasks[parent].duties_mut().accept
            && accept.spawns.len() < 8 * MAX_HEADS
        {
            accept.spawns.push(Spawned { child, vtable, heads: accept.heads.len(), times });
        }
    }

    /// The poll is over: what it spawned is matched with what it read.
    pub(super) fn accepted(&mut self, reader: usize) {
        let accept = self.tasks[reader].if_duties().and_then(|duties| duties.accept.take());
        let Some(accept) = accept.filter(|accept| accept.epoch == self.epoch && !accept.spawns.is_empty()) else {
            return;
        };
        let Some(each) = accept.each() else {
            self.totals.ambiguous_streams += accept.heads.len() as u64;
            for spawned in &accept.spawns {
                self.tasks[spawned.child].kin = Kin::between(accept.heads[..spawned.heads].to_vec());
            }
            return;
        };
        for (id, spawns) in accept.heads.iter().zip(accept.spawns.chunks_exact(each)) {
            for spawned in spawns {
                self.tasks[spawned.child].kin = Kin::Of(*id);
                self.fresh.kins.push((self.now, spawned.child));
            }
            if let Some(last) = spawns.last() {
                self.serve_stream(*id, *last);
            }
        }
    }

    fn serve_stream(&mut self, id: RequestId, spawned: Spawned) {
        let child = &mut self.tasks[spawned.child];
        child.is_stream = true;
        let (task, end, born) = (child.id, child.end(), child.first_seen_ns);
        let Some(request) = self.web.requests.get_mut(&id) else {
            return;
        };
        request.task = Some(task);
        if !request.is_open() {
            // It was answered before the poll that spawned its task was over.
            request.times = None;
        } else if let Some(end) = end {
            request.times = None;
            request.share = None;
            self.stream_was_short(id, end);
        } else {
            // Of a reader that was over before it spawned, only events that contradict each other tell.
            let share = request.share.take();
            let share = share.filter(|share| self.tasks[share.task].end().is_none_or(|end| end.time_ns >= born));
            let before = share.map(|share| spawned.times.since(&share.from));
            request.times = request.times.zip(before).map(|(times, before)| times.plus(&before));
            request.share = Some(Share { task: spawned.child, from: Times::default() });
            self.tasks[spawned.child].duties_mut().serves.push(id);
        }
    }

    /// The task wrote the response of a stream. If the connection's task spawned it, it is the stream's.
    pub(super) fn answered_by_task(&mut self, id: RequestId, index: usize) {
        let Some(request) = self.web.requests.get_mut(&id) else {
            return;
        };
        let reader = request.reader.map(|reader| self.tasks[reader].id);
        let task = &self.tasks[index];
        let was_there = task.is_stream || task.born().is_none_or(|born| born.time_ns < request.opened_ns);
        if self.setup.sampled && was_there && request.task != Some(task.id) {
            // It answers for several streams, or is older than this one.
            self.tasks[index].rare_mut().is_shared = true;
            return;
        }
        let is_stream = reader.is_some_and(|reader| task.parent() == Parent::Task(reader));
        if !is_stream || request.task == Some(task.id) {
            return;
        }
        let other = request.task.replace(task.id);
        request.times = None;
        let task = &mut self.tasks[index];
        (task.kin, task.is_stream) = (Kin::Of(id), true);
        self.fresh.kins.push((self.now, index));
        if let Some(other) = other.and_then(|other| self.index_of(other)) {
            self.totals.contradictions += 1;
            self.tasks[other].kin = Kin::Nobody;
            self.tasks[other].stop_serving(id);
        }
    }

    /// The stream's task ended before the poll that spawned it was over.
    fn stream_was_short(&mut self, id: RequestId, end: End) {
        match end.how {
            How::Panicked => self.close_request(id, Close { time_ns: end.time_ns, how: Closed::Panicked }),
            How::Cancelled => self.close_request(id, Close { time_ns: end.time_ns, how: Closed::Cancelled }),
            How::Completed | How::AbortedWhileRunning | How::Unknown => self.leave_to_connection(id, end.time_ns),
        }
    }
}

impl Accept {
    /// How many spawns each request had; `None` if they do not tell.
    fn each(&self) -> Option<usize> {
        let requests = self.heads.len();
        let each = self.spawns.len().checked_div(requests).filter(|each| each * requests == self.spawns.len())?;
        let pattern = self.spawns.get(..each)?;
        let distinct =
            requests == 1 || (1..each).all(|at| !pattern[..at].iter().any(|s| s.vtable == pattern[at].vtable));
        let in_order = self.spawns.iter().enumerate().all(|(at, spawned)| {
            let of = at / each;
            spawned.vtable == pattern[at % each].vtable && spawned.heads > of
        });
        (distinct && in_order).then_some(each)
    }
}
