//! The contract between the eBPF programs and the agent.
//!
//! One `#[repr(C)]` struct per event, in [`record`]; what is handed down to the programs, in
//! [`config`]; every way an event can be lost, in [`loss`]. Nothing here allocates, and nothing here
//! interprets: the programs fill these structs, the agent's `event` module reads them.

#![no_std]
#![cfg_attr(
    feature = "user",
    expect(missing_debug_implementations, reason = "the types that zerocopy derives have none")
)]

pub mod chain;
pub mod config;
pub mod http;
pub mod loss;
pub mod message_builder;
pub mod record;
pub mod vtables;
