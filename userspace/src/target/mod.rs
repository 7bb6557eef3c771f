//! Who is watched: the process, its executable, tokio's layout in it, and which instructions to hook.
//!
//! Nothing here touches the kernel's probes or an event. Everything read from the file or the process
//! is hostile input.

pub mod abilities;
pub mod addr;
mod builder;
pub mod cache;
pub mod debug;
mod discover;
pub mod elf;
pub mod error;
pub mod names;
pub mod plan;
pub mod process;
pub mod rest;
mod types;
mod version;
pub mod vtables;
pub mod x86_64;

pub use discover::discover;

#[cfg(test)]
mod tests;
