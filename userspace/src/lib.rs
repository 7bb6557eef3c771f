//! asyncscope: an eBPF profiler for unmodified Rust async programs.
//!
//! Data flows one way: [`target`] finds the hooks, [`probe`] arms them and drains their records,
//! [`event`] decodes and orders these, [`recording`] keeps them, [`model`] builds the task graph,
//! [`view`] shows it. [`cli`] and [`session`] wire them together. ARCHITECTURE.md has the map.

pub mod chain;
pub mod cli;
pub mod event;
pub mod export;
pub mod facts;
pub mod model;
pub mod probe;
pub mod recording;
pub mod session;
pub mod target;
pub mod unwind;
pub mod view;
