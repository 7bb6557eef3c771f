//! Literal event streams and what becomes of them.

mod gaps;
mod lineage;
mod polls;
pub(crate) mod script;
mod sums;
mod wakes;

use super::Graph;
use script::graph;

/// Checks one rendering of a script's graph.
#[track_caller]
fn check(show: fn(&Graph) -> String, script: &str, expected: &str) {
    assert_eq!(show(&graph(script)), expected, "{script}");
}
