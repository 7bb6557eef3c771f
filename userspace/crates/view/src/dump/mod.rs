//! `dump`: every live task and what it awaits.

mod json;
mod text;

use asyncscope_model::Graph;
use asyncscope_trace::{
    chain::{Program, Snapshot},
    event::TaskId,
    facts::Facts,
};

pub use json::write as json;
pub(super) use text::place;
pub use text::write as text;

/// All there is to show.
pub struct DumpView<'a> {
    /// The target.
    pub facts: &'a Facts,
    /// The tasks as they were seen while the dump was taken.
    pub graph: &'a Graph,
    /// The names of frames.
    pub program: &'a Program,
    /// The tasks.
    pub snapshot: &'a Snapshot,
    /// Since when a task has been doing what it does, in nanoseconds, if that was seen.
    pub since: &'a dyn Fn(TaskId) -> Option<u64>,
}

impl std::fmt::Debug for DumpView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DumpView")
    }
}
