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

mod ancestry;
mod awaits;
mod blocked;
mod blocking;
mod call;
mod completion;
mod connection;
mod correlation;
mod exchange;
mod frames;
mod gap;
mod handoff;
mod index;
mod leave;
mod life;
mod notes;
mod outgoing;
mod own;
mod places;
mod poll;
mod printed;
mod request;
mod samples;
mod serve;
mod setup;
mod shares;
mod spawn;
mod streams;
mod stretch;
mod task;
mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod thread;
mod wake;
mod web;

use std::collections::BTreeMap;

pub use ancestry::{Ancestry, MAX_ANCESTRY};
pub use awaits::{Awaited, Awaits, Chain, MAX_AWAITS, Waited};
pub use blocking::{BlockedAt, BlockedIn, Blocking, Delayed, LongPoll};
pub use call::{Call, CallId, Evidence, MAX_CANDIDATES, Owner};
pub use correlation::{Format, Id, Ids, Trace};
pub use gap::Gap;
pub use life::{Birth, End, How, Parent, Phase, Times, Why};
pub use notes::{Happened, Lineage, MAX_NOTES, Noted, Notes, Root, Waker};
pub use poll::{Outcome, Poll};
pub use printed::{Cut, LINE_MAX, Printed, PrintedId};
pub use request::{Close, Closed, Line, Request, RequestId};
pub use samples::{Place, Samples, Stack};
pub use setup::{Detail, Setup};
pub use stretch::Stretch;
pub use task::Task;
pub use tasks::Tasks;
pub use wake::{Did, Wake, WakeBy};

use hashbrown::HashMap;
use serde::Serialize;

use asyncscope_trace::event::{Event, TaskId, TaskRef, What};
use gap::Fresh;
use leave::Leaving;
use printed::Prints;
use thread::Thread;
use web::Web;

/// The task graph.
#[derive(Debug)]
pub struct Graph {
    setup: Setup,
    /// The newest time seen, in nanoseconds; never goes back, whatever the events say.
    now: u64,
    /// The number of gaps so far. What was learnt in an earlier epoch is doubtful.
    epoch: u64,
    finished: bool,
    tasks: Tasks,
    threads: HashMap<u32, Thread>,
    names: BTreeMap<u32, String>,
    polls: Vec<Poll>,
    wakes: Vec<Wake>,
    stretches: Vec<Stretch>,
    gaps: Vec<Gap>,
    fresh: Fresh,
    leaving: Leaving,
    chains: BTreeMap<u64, Chain>,
    web: Web,
    prints: Prints,
    samples: Samples,
    blocking: Blocking,
    totals: Totals,
}

/// Sums over a recording, in the order in which JSON has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Tasks, those that have left the graph among them.
    pub tasks: u64,
    /// Polls whose start was seen.
    pub polls: u64,
    /// Wakes of tasks in the graph.
    pub wakes: u64,
    /// Spawns seen.
    pub spawns: u64,
    /// Stretches of time in which a CPU's events are missing.
    pub gaps: u64,
    /// Events missing in those.
    pub lost: u64,
    /// Samples that could not be taken or handed on.
    pub samples_lost: u64,
    /// Polls whose end was not seen.
    pub polls_unended: u64,
    /// Wakes that say nothing of any task in the graph.
    pub stale_wakes: u64,
    /// Ends of polls whose start was not seen.
    pub unmatched_poll_ends: u64,
    /// Heads of requests that were read.
    pub requests: u64,
    /// Heads of requests that were written.
    pub calls: u64,
    /// Heads of responses to nothing that was seen.
    pub unmatched_responses: u64,
    /// Requests on streams of which it is not known which task serves them.
    pub ambiguous_streams: u64,
    /// Calls and streams of which one piece of evidence says this request, and another that.
    pub contradictions: u64,
    /// Heads on connections that were not followed, because there were too many.
    pub unfollowed: u64,
    /// Lines written to standard output and error.
    pub lines: u64,
    /// Those of them for which there was no room.
    pub lines_dropped: u64,
    /// Bytes written to standard output and error that are in no line.
    pub print_bytes_missing: u64,
}

impl Graph {
    /// An empty graph.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            now: setup.armed_ns,
            epoch: 0,
            finished: false,
            tasks: Tasks::default(),
            threads: HashMap::new(),
            names: BTreeMap::new(),
            polls: Vec::new(),
            wakes: Vec::new(),
            stretches: Vec::new(),
            gaps: Vec::new(),
            fresh: Fresh::default(),
            leaving: Leaving::default(),
            chains: BTreeMap::new(),
            web: Web::default(),
            prints: Prints::new(setup.from_first_instruction),
            samples: Samples::default(),
            blocking: Blocking::default(),
            totals: Totals::default(),
        }
    }

    /// Takes the next event. After [`Graph::finish`] it does nothing.
    pub fn apply(&mut self, event: &Event) {
        if self.finished {
            return;
        }
        self.now = self.now.max(event.at.time);
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
            What::Stack { stack, ended, frames } => self.told_stack(*stack, *ended, frames),
            What::Code { address, functions } => self.told_code(*address, functions),
            What::Typed { task } => self.told_type(task),
            What::Shutdown { task, state } => self.shutdown(at, task, *state),
            What::Panic => self.panic(at.tid),
            What::PollExit => self.poll_exit(at.tid),
            What::Awaited { task, chain } => self.awaited(task, *chain),
            What::Frames { chain, partial, frames } => self.frames(*chain, *partial, frames),
            What::Message(message) => self.message(at, message),
            What::Stream { connection, change } => self.connection_changed(at, *connection, *change),
            What::Print(print) => self.print(at, print),
            What::Blocked { since, stack, in_trap } => {
                let place = if *in_trap { Some(BlockedIn::Trap) } else { BlockedIn::stack(*stack) };
                self.blocked(at, *since, place);
            }
            What::Gap { since, lost } => self.gap(at.cpu, *since, *lost),
            What::ThreadName { name } => {
                self.names.insert(at.tid, name.clone());
            }
            What::ThreadAtRest => self.at_rest(at.tid),
        }
        self.was_active(event);
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
        self.now = self.now.max(end_ns);
        self.close_lines();
        self.close_all();
        self.charge_open();
        self.leave_out_doubtful_delays();
        for task in self.tasks.iter_mut() {
            task.charge(self.now);
        }
    }

    /// What the graph was told before the first event.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The newest time in the graph, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.now
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

    /// A task's place in [`Graph::tasks`].
    #[must_use]
    pub fn index_of(&self, id: TaskId) -> Option<usize> {
        self.tasks.place_of(id)
    }

    /// The polls, by the time they were known to be over; empty with [`Detail::Totals`].
    #[must_use]
    pub fn polls(&self) -> &[Poll] {
        &self.polls
    }

    /// The wakes, by time; empty with [`Detail::Totals`].
    #[must_use]
    pub fn wakes(&self) -> &[Wake] {
        &self.wakes
    }

    /// The gaps, by the time at which each ends.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The newest name of a thread, if any was told.
    #[must_use]
    pub fn thread_name(&self, tid: u32) -> Option<&str> {
        self.names.get(&tid).map(String::as_str)
    }

    /// Sums over the recording.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn thread(&mut self, tid: u32) -> &mut Thread {
        let Self { threads, setup, .. } = self;
        threads.entry(tid).or_insert_with(|| Thread::new(setup.base_is_certain(tid)))
    }

    /// The task's index; a task not seen before enters the graph in `phase`.
    fn find_or_add(&mut self, task: &TaskRef, phase: Phase) -> Option<usize> {
        let id = task.id?;
        Some(match self.index_of(id) {
            Some(index) => index,
            None if self.leaving.has_left(id) => return None,
            None => {
                let why = self.why_not_spawned(task.vtable);
                let index = self.add(id, task.vtable, phase, Parent::Unknown(why));
                if why == Why::BeforeAttach {
                    // A gap that is told of later may have swallowed its spawn.
                    self.fresh.spawns.push(index);
                }
                index
            }
        })
    }

    fn add(&mut self, id: TaskId, vtable: u64, phase: Phase, parent: Parent) -> usize {
        let index = self.tasks.len();
        self.totals.tasks += 1;
        let mut task = Task::new(id, vtable, phase, parent, self.now);
        task.kind = self.setup.kind(vtable);
        task.runtime = self.setup.is_runtime(vtable);
        self.tasks.push(task);
        self.start_notes(index);
        index
    }

    /// Why a task is in the graph whose spawn is not.
    fn why_not_spawned(&self, vtable: u64) -> Why {
        if self.epoch > 0 {
            Why::Gap
        } else if self.setup.from_first_instruction || self.setup.may_miss_spawn(vtable) {
            Why::Unseen
        } else {
            Why::BeforeAttach
        }
    }
}
