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

use crate::Graph;
use crate::http::request::{Close, Closed, TaskShare};
use crate::ids::{RequestId, TaskIndex};
use crate::task::http_role::{Accept, Spawned};
use crate::task::lifecycle::{End, How, Parent, Times};
use crate::task::owner::Inherited;

/// Heads read in one poll that are kept.
const MAX_HEADS: usize = 4096;

impl Graph {
    /// The head of a stream's request was read by the connection's task.
    pub(crate) fn accept(&mut self, reader: TaskIndex, id: RequestId) {
        let epoch = self.clock.epoch;
        let role = self.tasks[reader].http_role_or_new();
        let fresh = || Accept { heads: Vec::new(), spawns: Vec::new(), epoch };
        let accept = role.accept.get_or_insert_with(fresh);
        if accept.heads.len() < MAX_HEADS {
            accept.heads.push(id);
        }
    }

    /// The task spawned a child while it was accepting streams.
    pub(crate) fn spawned_while_accepting(&mut self, parent: TaskIndex, child: TaskIndex) {
        let vtable = self.tasks[child].vtable;
        if self.tasks[parent].http_role().is_none_or(|role| role.accept.is_none()) {
            return;
        }
        let times = self.times_now(parent);
        if let Some(accept) = &mut self.tasks[parent].http_role_or_new().accept
            && accept.spawns.len() < 8 * MAX_HEADS
        {
            accept.spawns.push(Spawned { child, vtable, heads: accept.heads.len(), times });
        }
    }

    /// The poll is over: what it spawned is matched with what it read.
    pub(crate) fn accepted(&mut self, reader: TaskIndex) {
        let accept = self.tasks[reader].http_role_mut().and_then(|role| role.accept.take());
        let Some(accept) = accept.filter(|accept| accept.epoch == self.clock.epoch && !accept.spawns.is_empty()) else {
            return;
        };
        let Some(each) = accept.each() else {
            self.totals.ambiguous_streams += accept.heads.len() as u64;
            for spawned in &accept.spawns {
                self.tasks[spawned.child].inherited = Inherited::between(accept.heads[..spawned.heads].to_vec());
            }
            return;
        };
        for (id, spawns) in accept.heads.iter().zip(accept.spawns.chunks_exact(each)) {
            for spawned in spawns {
                self.tasks[spawned.child].inherited = Inherited::Of(*id);
                self.undo.inherited(self.clock.now, spawned.child);
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
        let Some(request) = self.http.request_mut(id) else {
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
            // Of a reader that was over before it spawned, only events that contradict each other speak.
            let share = request.share.take();
            let share = share.filter(|share| self.tasks[share.task].end().is_none_or(|end| end.time_ns >= born));
            let before = share.map(|share| spawned.times.since(&share.from));
            request.times = request.times.zip(before).map(|(times, before)| times.plus(&before));
            request.share = Some(TaskShare { task: spawned.child, from: Times::default() });
            self.tasks[spawned.child].http_role_or_new().serves.push(id);
        }
    }

    /// The task wrote the response of a stream. If the connection's task spawned it, it is the stream's.
    pub(crate) fn answered_by_task(&mut self, id: RequestId, index: TaskIndex) {
        let Some(request) = self.http.request_mut(id) else {
            return;
        };
        let reader = request.reader.map(|reader| self.tasks[reader].id);
        let task = &self.tasks[index];
        let was_there = task.is_stream || task.born().is_none_or(|born| born.time_ns < request.opened_ns);
        if self.config.sampled && was_there && request.task != Some(task.id) {
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
        (task.inherited, task.is_stream) = (Inherited::Of(id), true);
        self.undo.inherited(self.clock.now, index);
        if let Some(other) = other.and_then(|other| self.index_of(other)) {
            self.totals.contradictions += 1;
            self.tasks[other].inherited = Inherited::Nobody;
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
