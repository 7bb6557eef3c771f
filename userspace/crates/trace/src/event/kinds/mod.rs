//! The events' records: a file for each event of the table, with
//! - `KINDS`: the values of [`Head::kind`](probe_common::record::Head::kind) that stand for it;
//! - `LEN_MAX`: the length of its longest record in bytes;
//! - `decode` and `encode`, which are each other's inverse: an event of the probe becomes the very struct of
//!   [`probe_common::record`] that it came from, one of the agent's a struct of its own;
//! - `any`, for tests: such an event with any values.

pub(super) mod abort;
pub(super) mod awaited;
pub(super) mod code;
pub(super) mod frames;
pub(super) mod gap;
pub(super) mod message;
pub(super) mod off_cpu;
pub(super) mod panic;
pub(super) mod poll_end;
pub(super) mod poll_exit;
pub(super) mod poll_start;
pub(super) mod print;
pub(super) mod sample;
pub(super) mod shutdown;
pub(super) mod spawn;
pub(super) mod spawned_by;
pub(super) mod stack;
pub(super) mod stream;
pub(super) mod thread_at_rest;
pub(super) mod thread_name;
pub(super) mod typed;
pub(super) mod wake;
