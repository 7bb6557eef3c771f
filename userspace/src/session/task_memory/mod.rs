//! Suspended tasks, read in the target's memory while it runs.

pub(super) mod owned_tasks;
pub(super) mod reader;
mod thread_pointers;
