//! Literal event streams and what becomes of them.

mod awaits;
mod calls;
mod exchange;
mod gaps;
mod h2_streams;
mod lineage;
mod log_lines;
mod long_polls;
mod of_samples;
mod owners;
mod polls;
mod requests;
mod retention;
mod samples;
mod segments;
mod sums;
mod wakes;

use super::Graph;
use crate::testing::script::graph;

/// Checks one rendering of a script's graph.
#[track_caller]
fn check(show: fn(&Graph) -> String, script: &str, expected: &str) {
    assert_eq!(show(&graph(script)), expected, "{script}");
}
