//! The target: its process, its executable, tokio's layout in it, and the instructions to hook.
//!
//! Nothing here touches the kernel's probes or an event. Everything read from the file or the process
//! is hostile input.

pub mod addr;
pub mod code;
pub mod error;
pub mod h2;
pub mod image;
pub mod layout;
pub mod layout_from_code;
pub mod names;
pub mod process;
pub mod syscalls;
pub mod tokio;

pub use self::tokio::discover::discover;

#[cfg(test)]
mod tests;
