//! Who is watched: the process, its executable, tokio's layout in it, and which instructions to hook.
//!
//! Nothing here touches the kernel's probes or an event. Everything read from the file or the process
//! is hostile input.

pub mod abilities;
pub mod addr;
mod bodies;
mod builder;
pub mod cache;
pub mod calls;
mod copies;
pub mod debug;
mod discover;
pub mod elf;
pub mod error;
mod flows;
pub mod h2;
pub mod layout;
pub mod libraries;
pub mod lines;
mod memory;
pub mod names;
pub mod plan;
pub mod process;
pub mod procfs;
pub mod rest;
pub mod room;
mod running;
mod sites;
pub mod sockets;
mod spawns;
mod symbols;
pub mod threads;
pub mod tls;
pub mod turns;
mod types;
mod version;
pub mod vtables;
pub mod x86_64;

pub use discover::discover;

#[cfg(test)]
mod tests;
