//! The task graph: who spawned whom, who woke whom, and where each task's time went.
//!
//! [`Graph::apply`] takes events in time order and cannot fail: what an event leaves open is a value
//! in the graph ([`Why`], [`How::Unknown`], [`Outcome::Unknown`]), never a guess. No clock, no I/O, no
//! names but those of threads.
//!
//! Every thread has a stack of frames, one for each `raw::poll` or `Vtable::shutdown` it is inside
//! of. What a task does is seen only as "this happened on that thread", so the innermost frame says
//! who did it. A frame goes when its end is seen, or when the thread's stack pointer shows that its
//! function has returned.
//!
//! Every task is in one [`Phase`] at a time from the moment it is first seen until its end, so its
//! times add up to its lifetime exactly.
//!
//! | folder or file | what it knows |
//! |---|---|
//! | `ids`, `clock`, `config` | names, the time, what to keep |
//! | `task` | tasks, and all that is known of one; the words for it |
//! | `scheduling` | threads, and the polls, wakes and spawns on them |
//! | `http` | requests, calls and connections |
//! | `attribution` | whose work a task, a call, a segment or a sample is |
//! | `gap` | what missing events put in doubt, and all rules for that |
//! | `samples`, `log_lines` | samples of CPU time; what the target wrote |
//! | `retention` | tasks that leave when they are over |
//!
//! State lies in parts that own their fields: the table of [`Tasks`], `Scheduler`, `Http`, [`Samples`], `LogLines`,
//! `Undo`, `Retention`. None of them knows [`Graph`], which routes events, and whose methods, in the folder that each
//! is about, work on several parts.

mod attribution;
mod clock;
mod config;
mod gap;
mod http;
mod ids;
mod log_lines;
mod retention;
mod samples;
mod scheduling;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod totals;

pub use config::{Config, Detail, SpanDetail};
pub use gap::Gap;
pub use http::call::{Call, Evidence};
pub use http::correlation::{Format, Id, Ids, Trace};
pub use http::request::{Close, Closed, HeadLine, Request};
pub use ids::{CallId, LoggedLineId, RequestId, TaskIndex};
pub use log_lines::{LINE_MAX, LineCut, LoggedLine};
pub use samples::{SampleKey, Samples, Stack};
pub use scheduling::intervals::{Did, OffCpuAt, OffCpuIn, Outcome, Poll, Wake, WakeBy};
pub use scheduling::long_polls::{Delayed, LongPoll, LongPolls};
pub use task::Task;
pub use task::ancestry::{Ancestry, MAX_ANCESTRY};
pub use task::history::{Happened, History, Lineage, MAX_HISTORY, Root, Waker};
pub use task::lifecycle::{Birth, End, How, Parent, Phase, Times, Why};
pub use task::owner::{MAX_CANDIDATES, Owner};
pub use task::segment::Segment;
pub use task::table::Tasks;
pub use task::waits::{AwaitChain, Awaited, Awaits, MAX_AWAITS, Waited};
pub use totals::Totals;

use crate::clock::Clock;
use crate::gap::Undo;
use crate::http::Http;
use crate::log_lines::LogLines;
use crate::retention::Retention;
use crate::scheduling::Scheduler;
use crate::scheduling::thread::{Actor, Thread};
use asyncscope_trace::event::{Event, TaskId, TaskRef, What};

/// The task graph.
#[derive(Debug)]
pub struct Graph {
    config: Config,
    clock: Clock,
    finished: bool,
    tasks: Tasks,
    scheduler: Scheduler,
    http: Http,
    segments: Vec<Segment>,
    log_lines: LogLines,
    samples: Samples,
    gaps: Vec<Gap>,
    undo: Undo,
    retention: Retention,
    totals: Totals,
}

impl Graph {
    /// Creates an empty graph.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            clock: Clock { now: config.armed_ns, epoch: 0 },
            finished: false,
            tasks: Tasks::default(),
            scheduler: Scheduler::new(config),
            http: Http::default(),
            segments: Vec::new(),
            log_lines: LogLines::new(config.from_first_instruction),
            samples: Samples::default(),
            gaps: Vec::new(),
            undo: Undo::default(),
            retention: Retention::default(),
            totals: Totals::default(),
            config: config.clone(),
        }
    }

    /// Takes the next event. After [`Graph::finish`] it does nothing.
    pub fn apply(&mut self, event: &Event) {
        if self.finished {
            return;
        }
        self.clock.now = self.clock.now.max(event.at.time);
        let at = &event.at;
        if let Some(reach) = event.what.stack_reach() {
            self.settle(at, reach);
        }
        match &event.what {
            What::PollStart { task, state } => self.poll_start(at, task, *state),
            What::PollEnd { task, old, new } => self.poll_end(at, task, *old, *new),
            What::Wake { .. } => self.wake(event),
            What::Abort { task, old, new, .. } => self.abort(at, task, *old, *new),
            What::Spawn { task, state, way, completion, .. } => self.spawn(at, task, *state, *way, *completion),
            What::SpawnedBy { task, state, way, by, .. } => self.spawned_by(at, task, *state, *way, *by),
            What::Sample { running, stack, in_kernel } => self.sample(at, *running, *stack, *in_kernel),
            What::Stack { stack, ended, frames } => self.add_stack(*stack, *ended, frames),
            What::Code { address, functions } => self.add_code(*address, functions),
            What::Typed { task } => self.learn_type(task),
            What::Shutdown { task, state } => self.shutdown(at, task, *state),
            What::Panic => self.panic(at.tid),
            What::PollExit => self.poll_exit(at.tid),
            What::Awaited { task, chain } => self.awaited(task, *chain),
            What::Frames { chain, partial, frames } => self.frames(*chain, *partial, frames),
            What::Message(message) => self.message(at, message),
            What::Stream { connection, change } => self.connection_changed(at, *connection, *change),
            What::Print(print) => self.print(at, print),
            What::OffCpu { since, stack, in_trap, end_unseen } => {
                let place = if *in_trap { Some(OffCpuIn::Trap) } else { OffCpuIn::stack(*stack) };
                self.scheduler.off_cpu(&mut self.tasks, self.clock, at, (*since, *end_unseen), place);
            }
            What::Gap { since, lost } => self.gap(at.cpu, *since, *lost),
            What::ThreadName { name } => self.scheduler.name(at.tid, name),
            What::ThreadAtRest => self.at_rest(at.tid),
        }
        self.scheduler.was_active(event, self.clock.now);
    }

    /// Takes how many samples could not be taken or handed on, which leave no gap.
    pub fn lost_samples(&mut self, samples: u64) {
        self.totals.samples_lost = samples;
    }

    /// Closes the graph at `end_ns` (`CLOCK_MONOTONIC`), or at its newest event if that is later.
    pub fn finish(&mut self, end_ns: u64) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.clock.now = self.clock.now.max(end_ns);
        self.close_lines();
        self.close_all();
        self.charge_open();
        let gaps = self.gaps.iter().map(|gap| (gap.since_ns, gap.until_ns)).collect();
        self.scheduler.long_polls.leave_out_doubtful(gaps);
        for task in self.tasks.iter_mut() {
            task.charge(self.clock.now);
        }
    }

    /// Returns the configuration that the graph began with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The newest time in the graph, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.clock.now
    }

    /// All tasks in the order in which they were first seen: a parent precedes its children.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// One task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.index_of(id).and_then(|index| self.tasks.get(index))
    }

    /// Returns a task's index in [`Graph::tasks`].
    #[must_use]
    pub fn index_of(&self, id: TaskId) -> Option<TaskIndex> {
        self.tasks.index_of(id)
    }

    /// The polls, by the time they were known to be over; empty with [`Detail::Totals`].
    #[must_use]
    pub fn polls(&self) -> &[Poll] {
        &self.scheduler.polls
    }

    /// The wakes, by time; empty with [`Detail::Totals`].
    #[must_use]
    pub fn wakes(&self) -> &[Wake] {
        &self.scheduler.wakes
    }

    /// Returns the long polls, where they are wanted.
    #[must_use]
    pub fn long_polls(&self) -> &LongPolls {
        &self.scheduler.long_polls
    }

    /// The gaps, by the time at which each ends.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Returns the newest name of a thread, if it has any.
    #[must_use]
    pub fn thread_name(&self, tid: u32) -> Option<&str> {
        self.scheduler.name_of(tid)
    }

    /// Sums over the recording.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    #[inline]
    fn thread(&mut self, tid: u32) -> &mut Thread {
        self.scheduler.thread(tid)
    }

    /// Returns who acts on this thread now.
    #[inline]
    fn actor(&self, tid: u32) -> Actor {
        self.scheduler.actor(tid, self.clock.epoch)
    }

    /// The task's index; a task not seen before enters the graph in `phase`.
    fn find_or_add(&mut self, task: &TaskRef, phase: Phase) -> Option<TaskIndex> {
        let id = task.id?;
        Some(match self.index_of(id) {
            Some(index) => index,
            None if self.retention.has_left(id) => return None,
            None => {
                let why = self.why_not_spawned(task.vtable);
                let index = self.add(id, task.vtable, phase, Parent::Unknown(why));
                if why == Why::BeforeAttach {
                    // A gap that is reported later may have swallowed its spawn.
                    self.undo.entered(index);
                }
                index
            }
        })
    }

    fn add(&mut self, id: TaskId, vtable: u64, phase: Phase, parent: Parent) -> TaskIndex {
        let index = TaskIndex::new(self.tasks.len());
        self.totals.tasks += 1;
        let mut task = Task::new(id, vtable, phase, parent, self.clock.now);
        task.kind = self.config.kind(vtable);
        task.runtime = self.config.is_runtime(vtable);
        self.tasks.push(task);
        self.start_history(index);
        index
    }

    /// Returns the reason why the spawn is not in the graph of a task that is.
    fn why_not_spawned(&self, vtable: u64) -> Why {
        if self.clock.epoch > 0 {
            Why::Gap
        } else if self.config.from_first_instruction || self.config.may_miss_spawn(vtable) {
            Why::Unseen
        } else {
            Why::BeforeAttach
        }
    }
}
