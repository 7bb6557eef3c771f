//! The bits of a task's state word.
//!
//! Source: <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L15-L65>

/// The task is being polled, or torn down.
pub const RUNNING: u64 = 1;
/// The future is done and dropped; never unset.
pub const COMPLETE: u64 = 2;
/// A `Notified` for the task exists: it is in a queue, or will be after its poll.
pub const NOTIFIED: u64 = 4;
/// The `JoinHandle` is alive.
pub const JOIN_INTEREST: u64 = 8;
/// The `JoinHandle`'s waker is set.
pub const JOIN_WAKER: u64 = 16;
/// The task is to be cancelled.
pub const CANCELLED: u64 = 32;
/// One reference; the count fills the rest of the word.
pub const REF_ONE: u64 = 64;
/// The state word of a new task.
pub const INITIAL: u64 = (3 * REF_ONE) | JOIN_INTEREST | NOTIFIED;
