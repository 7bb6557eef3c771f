//! What the demo service reports its own tasks.

use std::path::Path;

use anyhow::Result;
use asyncscope_tests::json_lines;
use serde::Deserialize;

/// A task by its own account; times in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Lived {
    pub(super) id: u64,
    pub(super) r#type: String,
    /// `true` if it is a future that the task awaited, and not the task.
    pub(super) awaited: bool,
    /// `None`: no task spawned it.
    pub(super) parent: Option<u64>,
    pub(super) spawned_ns: u64,
    pub(super) end_ns: u64,
    pub(super) busy_ns: u64,
    pub(super) polls: u64,
}

impl Lived {
    /// From spawn to end, outside of polls.
    pub(super) fn wait_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.spawned_ns).saturating_sub(self.busy_ns)
    }
}

/// Reads the service's account.
pub(super) fn read(path: &Path) -> Result<Vec<Lived>> {
    json_lines::read(path)?.collect()
}
