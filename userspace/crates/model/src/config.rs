//! The configuration of a graph: facts from before the first event, and how much to keep.

use hashbrown::{HashMap, HashSet};

use crate::http::correlation::Format;
use asyncscope_trace::facts::{Driver, DriverCode, Facts, PollFunction, TaskKind};

/// The amount that the graph keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Sums for each task, and the newest requests and calls.
    #[default]
    Totals,
    /// All requests and calls as well.
    Requests,
    /// Every poll and every wake as well.
    Intervals,
}

/// The few facts that change what events mean, and how much to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `true` if the target was watched from its first instruction on.
    pub from_first_instruction: bool,
    /// `true` if CPU time was sampled: then polls and wakes have no hooks.
    pub sampled: bool,
    /// The time at which the hooks were armed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub armed_ns: u64,
    /// The threads alive then: each may have been inside a poll.
    pub threads: HashSet<u32>,
    /// The vtables of the runtime's own tasks.
    pub runtime: HashSet<u64>,
    /// The kinds of tasks by vtable.
    pub kinds: HashMap<u64, TaskKind>,
    /// The kinds of tasks whose spawns may pass no hook.
    pub unseen_spawns: HashSet<TaskKind>,
    /// Code that uses wakers on the runtime's behalf, by start address, not overlapping.
    pub drivers: Vec<DriverCode>,
    /// Code of poll functions, by start address, not overlapping.
    pub polls: Vec<PollFunction>,
    /// The format of each allow-listed header's values.
    pub headers: Vec<Format>,
    /// The amount to keep.
    pub detail: Detail,
    /// From how many nanoseconds on polls are kept as long ones; `None`: none is.
    pub long_polls_ns: Option<u64>,
    /// The history to keep of each task, if any.
    pub span_detail: Option<SpanDetail>,
    /// Tasks may leave when they are over.
    pub evicts: bool,
    /// The bytes to keep of the lines that the target wrote; `None`: no line is kept.
    pub log_lines_max: Option<u64>,
}

impl From<&Facts> for Config {
    fn from(facts: &Facts) -> Self {
        let runtime = facts.types.iter().filter(|ty| ty.runtime);
        let mut drivers = facts.drivers.clone();
        drivers.sort_by_key(|code| (code.start, code.end));
        let mut polls = facts.polls.clone();
        polls.sort_by_key(|code| (code.start, code.end));
        Self {
            from_first_instruction: facts.from_first_instruction,
            sampled: facts.sampling.is_some(),
            armed_ns: facts.armed.monotonic_ns,
            threads: facts.threads.iter().map(|thread| thread.tid).collect(),
            runtime: runtime.map(|ty| ty.vtable).collect(),
            kinds: facts.types.iter().map(|ty| (ty.vtable, ty.kind)).collect(),
            unseen_spawns: facts.unseen_spawns.iter().copied().collect(),
            drivers,
            polls,
            headers: facts.correlation_headers.iter().map(|name| Format::of(name)).collect(),
            detail: Detail::default(),
            long_polls_ns: None,
            span_detail: None,
            evicts: false,
            log_lines_max: None,
        }
    }
}

impl Config {
    /// Returns it with the amount to keep.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }

    /// Returns it with polls kept as long ones from this many nanoseconds on, if any.
    #[must_use]
    pub fn with_long_polls(self, long_polls_ns: Option<u64>) -> Self {
        Self { long_polls_ns, ..self }
    }

    /// Returns it with a history kept of each task.
    #[must_use]
    pub fn with_span_detail(self, span_detail: Option<SpanDetail>) -> Self {
        Self { span_detail, ..self }
    }

    /// Returns it with tasks that may leave when they are over, if they are asked for.
    #[must_use]
    pub fn with_eviction(self, evicts: bool) -> Self {
        Self { evicts, ..self }
    }

    /// Returns it with lines kept up to this many bytes, if any.
    #[must_use]
    pub fn with_log_lines(self, log_lines_max: Option<u64>) -> Self {
        Self { log_lines_max, ..self }
    }

    pub(crate) fn kind(&self, vtable: u64) -> TaskKind {
        self.kinds.get(&vtable).copied().unwrap_or_default()
    }

    /// Returns `true` if a task of this type may have been spawned while the hooks were armed, and unseen.
    pub(crate) fn may_miss_spawn(&self, vtable: u64) -> bool {
        match self.kind(vtable) {
            TaskKind::Unknown => !self.unseen_spawns.is_empty(),
            known => self.unseen_spawns.contains(&known),
        }
    }

    pub(crate) fn is_runtime(&self, vtable: u64) -> bool {
        self.runtime.contains(&vtable)
    }

    /// The task types whose poll function has code at this address.
    pub(crate) fn polled_at(&self, address: u64) -> &[u64] {
        let after = self.polls.partition_point(|code| code.start <= address);
        let code = after.checked_sub(1).and_then(|at| self.polls.get(at)).filter(|code| address < code.end);
        code.map_or(&[], |code| &code.vtables)
    }

    /// The part of the runtime whose code this address lies in.
    pub(crate) fn driver(&self, address: u64) -> Option<Driver> {
        let after = self.drivers.partition_point(|code| code.start <= address);
        let code = self.drivers.get(after.checked_sub(1)?)?;
        (address < code.end).then_some(code.driver)
    }
}

/// The least that goes into a task's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanDetail {
    /// Polls, delays before them, and waits, of at least this many nanoseconds.
    pub min_ns: u64,
}
