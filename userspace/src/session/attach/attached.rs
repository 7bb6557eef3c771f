//! A target with its hooks in place.

use std::collections::HashMap;

use super::{mapped::MappedLibrary, traps::Traps};
use crate::probe::Probe;
use asyncscope_discovery::{
    addr::Bias,
    image::lines::Lines,
    layout::Layouts,
    process::{Process, idle_threads::PollCode, libraries::Loaded},
    tokio::plan_key::PlanKey,
};
use asyncscope_trace::facts::{Facts, NoLayouts};

/// An attached target.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) process: Process,
    /// The libraries that it had loaded when it was looked at last.
    pub(crate) loaded: Loaded,
    pub(crate) probe: Probe,
    pub(crate) facts: Facts,
    pub(crate) poll_code: PollCode,
    /// Each task vtable's address in memory, and the offset of a task's id from its header.
    pub(crate) vtables: HashMap<u64, u32>,
    pub(crate) bias: Bias,
    /// The library whose tokio is watched; `None` where that is the executable's.
    pub(crate) library: Option<MappedLibrary>,
    /// The layouts of the target's futures, or why there are none. Addresses are the file's.
    pub(crate) layouts: Result<Layouts, NoLayouts>,
    /// The bytes that each thread has for variables of its own, as the executable wants it.
    pub(crate) thread_local_len: u64,
    /// The bytes that its thread-local variables take.
    pub(crate) thread_local: u32,
    /// Values of headers are replaced by hashes.
    pub(crate) redacted: bool,
    /// The executable's functions by address, where stacks are taken.
    pub(crate) lines: Option<Lines>,
    /// The name that the executable's plan is kept by, if it is.
    pub(crate) plan_key: Option<PlanKey>,
    /// The hooks' places in memory.
    pub(crate) traps: Traps,
}

impl Attached {
    /// Returns `true` if there is nothing to find out about where tokio keeps the running task's id, or no way to.
    pub(crate) fn knows_running(&self) -> bool {
        self.facts.current_task.is_some() || self.facts.sampling.is_some()
    }
}
