//! What is shown: pure functions of the graph and the facts, one file for each output format.
//!
//! The same graph gives the same bytes. Names come from a foreign program: whatever could move a
//! terminal's cursor, break a line or turn text around is escaped before it is shown.

mod awaits;
pub mod blocking;
pub mod dump;
pub mod flamegraph;
pub mod folded;
pub mod format;
pub mod formats;
pub mod inspect;
pub mod json;
mod labels;
pub mod lost;
mod names;
mod of_requests;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod pprof;
pub mod printed;
pub mod request;
pub mod requests;
mod sampled;
pub mod samples;
pub mod select;
pub mod sentences;
pub mod stacks;
pub mod summary;
#[cfg(test)]
mod tests;
mod tree;
mod units;
pub mod weight;

pub use names::printable;
