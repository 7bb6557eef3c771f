//! Gaps: what missing events put in doubt.
//!
//! A gap is known only at its end. Until then, events of other CPUs were taken for the whole story, though a thread
//! may have been on the CPU with the gap in between. The rules:
//!
//! 1. Each gap begins an *epoch*. What was learnt in an earlier one (which task a frame holds, that a thread is
//!    outside of every poll, who asked for a call) is doubtful from then on: frames, threads, completions and all
//!    that is noted for later bear the epoch in which they were noted, and whoever uses them compares it with
//!    [`crate::Clock::epoch`].
//! 2. Whatever was *concluded* since the gap began is retracted. [`Undo`] keeps each conclusion until it is retracted,
//!    or what it was about has left:
//!    - the parent of a task that was first seen then, and what it inherited;
//!    - which request a task of a stream serves, or was spawned for;
//!    - that a poll is one poll: it becomes doubtful;
//!    - who used a waker;
//!    - that a segment is one: it is nobody's;
//!    - who wrote a log line (`log_lines.rs`);
//!    - how a request ended, where its time went, and, if it opened then, which task serves it ([`crate::Request::retract`]);
//!    - how a call ended, whose it is, and who may have asked for it ([`crate::Call::retract`]).
//! 3. What is *under way* ends for an unknown reason: open requests, open calls, connections, log lines that have no
//!    end yet. It may have gone on unseen.
//! 4. Numbers stand: a poll across a gap counts, and so does its time.
//! 5. A task that lived through a gap may have had dealings that were not seen: it keeps a request's work only where
//!    it does not outlive the request (`attribution`).

use crate::Graph;
use crate::http::connection::Side;
use crate::http::request::{Close, Closed};
use crate::http::{Http, UnderWay};
use crate::ids::{CallId, LoggedLineId, RequestId, TaskIndex};
use crate::log_lines::LogLines;
use crate::scheduling::intervals::WakeBy;
use crate::task::index_set::IndexSet;
use crate::task::lifecycle::{Parent, Why};
use crate::task::owner::Inherited;
use crate::task::table::Tasks;

/// A stretch of time in which events of one CPU are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The CPU.
    pub cpu: u16,
    /// The time of the last event before it, in nanoseconds.
    pub since_ns: u64,
    /// The time of the first event after it.
    pub until_ns: u64,
    /// The number of missing events.
    pub lost: u64,
}

/// Conclusions are looked through for those about what has left when there are so many, and twice as many as were
/// kept the last time.
const MIN_DUE: usize = 1 << 12;

/// Conclusions that a later gap may retract. One that was retracted leaves, so that each is looked at once however
/// many gaps there are.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    /// Tasks whose parents are known, or known not to be; their times are when they were first seen.
    spawns: IndexSet,
    /// Their number when they were last looked through.
    spawns_kept: usize,
    polls: Conclusions<usize>,
    wakes: Conclusions<usize>,
    segments: Conclusions<usize>,
    /// Tasks that were found to serve a stream, or whose parents served a request.
    inherited: Conclusions<TaskIndex>,
    /// Requests that closed.
    requests: Conclusions<RequestId>,
    /// Calls that opened or closed, or whose owner was found.
    calls: Conclusions<CallId>,
    log_lines: Conclusions<LoggedLineId>,
}

/// Conclusions of one kind: when each was drawn, and about what, oldest first.
#[derive(Debug)]
struct Conclusions<T> {
    about: Vec<(u64, T)>,
    /// Their number when they were last looked through.
    kept: usize,
}

impl<T> Default for Conclusions<T> {
    fn default() -> Self {
        Self { about: Vec::new(), kept: 0 }
    }
}

impl<T> Conclusions<T> {
    fn push(&mut self, now: u64, about: T) {
        self.about.push((now, about));
    }

    /// Takes the newest one, if it is not older.
    fn pop_since(&mut self, since: u64) -> Option<T> {
        self.about.pop_if(|(time, _)| *time >= since).map(|(_, about)| about)
    }

    /// Forgets those about what has left, if there are many.
    fn thin(&mut self, stays: impl Fn(&T) -> bool) {
        if is_due(self.about.len(), self.kept) {
            self.about.retain(|(_, about)| stays(about));
            self.kept = self.about.len();
        }
    }
}

/// Returns `true` if this many conclusions are to be looked through, when this many were kept the last time.
fn is_due(count: usize, kept: usize) -> bool {
    count > MIN_DUE.max(kept * 2)
}

impl Undo {
    /// Notes a task that entered the graph, whose parent a gap may put in doubt.
    pub(crate) fn entered(&mut self, task: TaskIndex) {
        self.spawns.push(task);
    }

    /// Notes that the task's spawn was seen after all.
    pub(crate) fn saw_spawn(&mut self, task: TaskIndex) {
        self.spawns.remove(task);
    }

    /// Notes a poll, by its position among the graph's.
    pub(crate) fn polled(&mut self, now: u64, poll: usize) {
        self.polls.push(now, poll);
    }

    /// Notes a wake, by its position among the graph's.
    pub(crate) fn woke(&mut self, now: u64, wake: usize) {
        self.wakes.push(now, wake);
    }

    /// Notes a segment, by its position among the graph's.
    pub(crate) fn segment_ended(&mut self, now: u64, segment: usize) {
        self.segments.push(now, segment);
    }

    /// Notes that it was found of which request a task is.
    pub(crate) fn inherited(&mut self, now: u64, task: TaskIndex) {
        self.inherited.push(now, task);
    }

    /// Notes that a request closed.
    pub(crate) fn request_closed(&mut self, now: u64, request: RequestId) {
        self.requests.push(now, request);
    }

    /// Notes that a call opened or closed, or that it was found whose it is.
    pub(crate) fn call_changed(&mut self, now: u64, call: CallId) {
        self.calls.push(now, call);
    }

    /// Notes that a log line ended.
    pub(crate) fn line_ended(&mut self, now: u64, line: LoggedLineId) {
        self.log_lines.push(now, line);
    }

    /// Takes the newest log line that ended since then.
    pub(crate) fn pop_line_since(&mut self, since: u64) -> Option<LoggedLineId> {
        self.log_lines.pop_since(since)
    }

    /// Forgets what cannot be retracted any more, as what it was about has left.
    pub(crate) fn thin(&mut self, tasks: &Tasks, http: &Http, log_lines: &LogLines) {
        if is_due(self.spawns.len(), self.spawns_kept) {
            self.spawns.retain(|task| tasks.get(task).is_some());
            self.spawns_kept = self.spawns.len();
        }
        self.inherited.thin(|task| tasks.get(*task).is_some());
        self.requests.thin(|id| http.request(*id).is_some());
        self.calls.thin(|id| http.call(*id).is_some());
        self.log_lines.thin(|id| log_lines.is_kept(*id));
    }

    #[cfg(test)]
    pub(crate) fn requests_len(&self) -> usize {
        self.requests.about.len()
    }

    #[cfg(test)]
    pub(crate) fn spawns_len(&self) -> usize {
        self.spawns.len()
    }

    /// Takes the newest of the tasks that entered, if it is not older; one that has left is nobody's.
    fn pop_spawn_since(&mut self, tasks: &Tasks, since: u64) -> Option<TaskIndex> {
        let child = self.spawns.last()?;
        let is_older = tasks.get(child).is_some_and(|task| task.first_seen_ns < since);
        (!is_older).then(|| {
            self.spawns.pop();
            child
        })
    }
}

impl Graph {
    /// Takes a [`asyncscope_trace::event::What::Gap`].
    pub(crate) fn gap(&mut self, cpu: u16, since: u64, lost: u64) {
        let since_ns = since.min(self.clock.now);
        self.clock.epoch += 1;
        self.totals.gaps += 1;
        self.totals.lost = self.totals.lost.saturating_add(lost);
        self.gaps.push(Gap { cpu, since_ns, until_ns: self.clock.now, lost });
        self.retract_tasks(since_ns);
        self.retract_intervals(since_ns);
        self.retract_log_lines(since_ns);
        self.close_under_way();
        self.retract_http(since_ns);
    }

    fn retract_tasks(&mut self, since: u64) {
        while let Some(child) = self.undo.pop_spawn_since(&self.tasks, since) {
            self.tasks[child].set_parent(Parent::Unknown(Why::Gap));
            self.start_history(child);
            self.tasks[child].inherited = Inherited::Nobody;
        }
        while let Some(child) = self.undo.inherited.pop_since(since) {
            self.tasks[child].inherited = Inherited::Nobody;
        }
    }

    fn retract_intervals(&mut self, since: u64) {
        while let Some(poll) = self.undo.polls.pop_since(since) {
            self.scheduler.polls[poll].doubtful = true;
        }
        while let Some(wake) = self.undo.wakes.pop_since(since) {
            self.scheduler.wakes[wake].by = WakeBy::Unknown(Why::Gap);
        }
        while let Some(segment) = self.undo.segments.pop_since(since) {
            self.segments[segment].retracted = true;
        }
    }

    /// Ends whatever HTTP is under way: it may have gone on unseen.
    fn close_under_way(&mut self) {
        let unknown = Close { time_ns: self.clock.now, how: Closed::Unknown };
        let UnderWay { requests, calls, connections } = self.http.take_under_way();
        for id in requests {
            self.close_request(id, unknown);
        }
        for id in calls {
            self.close_call(id, unknown);
        }
        for connection in connections.into_values() {
            if let Side::Server(served) = &connection.side {
                self.forget_served(connection.task, served);
            }
        }
    }

    fn retract_http(&mut self, since: u64) {
        while let Some(id) = self.undo.requests.pop_since(since) {
            if let Some(request) = self.http.request_mut(id) {
                request.retract(since);
            }
        }
        while let Some(id) = self.undo.calls.pop_since(since) {
            if let Some(call) = self.http.call_mut(id) {
                call.retract(since);
            }
        }
    }
}
