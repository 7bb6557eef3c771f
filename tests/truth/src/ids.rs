//! Task ids, in a way that every tokio has: as a handle's `Debug` shows them. Calls that return ids
//! are stable since 1.41 only.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.28.2/tokio/src/runtime/task/abort.rs#L74-L81>

use tokio::task::AbortHandle;

/// The id as tokio numbers it; 0 is none of them.
pub(crate) fn of(handle: &AbortHandle) -> u64 {
    let shown = format!("{handle:?}");
    let number = shown.split_once("Id(").and_then(|(_, rest)| rest.split_once(')'));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

/// Whether the running task is the one, as tokio's `CONTEXT` reports, with this id.
#[cfg(feature = "since-1-41")]
pub(crate) fn tokio_agrees(id: Option<u64>) -> bool {
    tokio::task::try_id().map(|id| id.to_string()) == id.map(|id| id.to_string())
}

/// This tokio does not say.
#[cfg(not(feature = "since-1-41"))]
pub(crate) fn tokio_agrees(_: Option<u64>) -> bool {
    true
}
