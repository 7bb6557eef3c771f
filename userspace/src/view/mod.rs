//! What is shown: pure functions of the graph and the facts, one file for each output format.
//!
//! The same graph gives the same bytes. Names come from a foreign program: whatever could move a
//! terminal's cursor, break a line or turn text around is escaped before it is shown.

pub mod flamegraph;
pub mod folded;
pub mod inspect;
pub mod json;
mod names;
pub mod stacks;
pub mod summary;
#[cfg(test)]
mod tests;
mod tree;
mod units;
