//! What the graph is told before the first event.

use std::collections::{HashMap, HashSet};

use crate::facts::{Driver, DriverCode, Facts, TaskKind};

/// How much the graph keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Sums for each task.
    #[default]
    Totals,
    /// Every poll and every wake as well.
    Intervals,
}

/// The few facts that change what events mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whether the target was watched from its first instruction on.
    pub from_first_instruction: bool,
    /// When the hooks were armed, in nanoseconds of `CLOCK_MONOTONIC`.
    pub armed_ns: u64,
    /// The threads alive then: each may have been inside a poll.
    pub threads: HashSet<u32>,
    /// The vtables of the runtime's own tasks.
    pub runtime: HashSet<u64>,
    /// The kinds of tasks by vtable.
    pub kinds: HashMap<u64, TaskKind>,
    /// Code that uses wakers on the runtime's behalf, by start address, not overlapping.
    pub drivers: Vec<DriverCode>,
    /// How much to keep.
    pub detail: Detail,
}

impl From<&Facts> for Setup {
    fn from(facts: &Facts) -> Self {
        let runtime = facts.types.iter().filter(|ty| ty.runtime);
        let mut drivers = facts.drivers.clone();
        drivers.sort_by_key(|code| (code.start, code.end));
        Self {
            from_first_instruction: facts.from_first_instruction,
            armed_ns: facts.armed.monotonic_ns,
            threads: facts.threads.iter().map(|thread| thread.tid).collect(),
            runtime: runtime.map(|ty| ty.vtable).collect(),
            kinds: facts.types.iter().map(|ty| (ty.vtable, ty.kind)).collect(),
            drivers,
            detail: Detail::default(),
        }
    }
}

impl Setup {
    /// The same, keeping as much as `detail` says.
    #[must_use]
    pub fn with_detail(self, detail: Detail) -> Self {
        Self { detail, ..self }
    }

    /// Whether a thread first heard of now was outside of every poll when it was armed or born.
    pub(super) fn base_is_certain(&self, tid: u32) -> bool {
        self.from_first_instruction || !self.threads.contains(&tid)
    }

    pub(super) fn kind(&self, vtable: u64) -> TaskKind {
        self.kinds.get(&vtable).copied().unwrap_or_default()
    }

    pub(super) fn is_runtime(&self, vtable: u64) -> bool {
        self.runtime.contains(&vtable)
    }

    /// The part of the runtime whose code this address lies in.
    pub(super) fn driver(&self, address: u64) -> Option<Driver> {
        let after = self.drivers.partition_point(|code| code.start <= address);
        let code = self.drivers.get(after.checked_sub(1)?)?;
        (address < code.end).then_some(code.driver)
    }
}
