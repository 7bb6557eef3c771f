//! What the live tests share: running targets and the agent, and comparing what the agent [`seen`]
//! with the [`truth`] that the target lived.
//!
//! [`seen`]: crate::seen::Seen
//! [`truth`]: crate::truth::Truth

pub mod agent;
pub mod attribution;
pub mod cgroup;
pub mod chain;
pub mod chains;
pub mod collector;
pub mod compare;
pub mod debug_exporter;
pub mod guests;
pub mod held;
pub mod hosted;
pub mod http2;
pub mod inspection;
pub mod json_lines;
pub mod kernel;
pub mod memory;
pub mod otelcol;
pub mod paths;
pub mod process;
pub mod scenarios;
pub mod seen;
pub mod sources;
pub mod spans;
pub mod supervised;
pub mod target;
pub mod trial;
pub mod truth;
