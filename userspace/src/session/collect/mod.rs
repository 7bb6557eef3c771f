//! From attached hooks to events: drained, unwound, put in order, and handed on.

pub(super) mod event_pump;
pub(super) mod final_awaits;
pub(super) mod find_current_task;
pub(super) mod progress;
mod redact;
pub(super) mod sampler;
mod task_types;
