//! asyncscope: an eBPF profiler for unmodified Rust async programs.
//!
//! Data flows one way: `discovery` finds the hooks, [`probe`] arms them and drains their records, `trace` decodes,
//! orders and keeps these, `model` builds the task graph, `view` shows it, `export` sends spans of it. [`cli`] and
//! [`session`] wire these crates together. ARCHITECTURE.md has the map.

pub mod cli;
pub mod probe;
pub mod session;
