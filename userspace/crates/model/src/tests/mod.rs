//! Literal event streams and what becomes of them.

mod awaits;
mod blocking;
mod calls;
mod exchange;
mod gaps;
mod leave;
mod lineage;
mod owners;
mod polls;
mod printed;
mod requests;
mod samples;
mod shares;
mod streams;
mod stretches;
mod sums;
mod wakes;

use super::Graph;
use crate::testing::script::graph;

/// Checks one rendering of a script's graph.
#[track_caller]
fn check(show: fn(&Graph) -> String, script: &str, expected: &str) {
    assert_eq!(show(&graph(script)), expected, "{script}");
}
