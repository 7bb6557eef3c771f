//! What is shown: pure functions of the graph and the facts, one file for each output format.
//!
//! The same graph gives the same bytes. Names come from a foreign program: whatever could move a
//! terminal's cursor, break a line or turn text around is escaped before it is shown.

mod awaits;
pub mod dump;
mod flamegraph;
mod folded;
pub mod format;
pub mod formats;
pub mod inspect;
mod json;
mod labels;
mod log_lines;
mod long_polls;
pub mod lost;
mod names;
mod of_requests;
#[cfg(feature = "otlp")]
pub mod otlp;
mod pprof;
mod request;
mod requests;
mod sampled;
pub mod samples;
pub mod select;
pub mod sentences;
pub mod stacks;
mod summary;
#[cfg(test)]
mod tests;
mod tree;
mod units;
pub mod weight;

pub use names::printable;
