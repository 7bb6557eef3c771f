//! Spans on their way out, or, where asyncscope was built without them, what stands in their place.

#[cfg(feature = "otlp")]
mod spans;
#[cfg(not(feature = "otlp"))]
mod without;

#[cfg(feature = "otlp")]
pub use spans::ExportOptions;
#[cfg(feature = "otlp")]
pub(super) use spans::{Export, Ready};
#[cfg(not(feature = "otlp"))]
pub use without::Never as ExportOptions;
#[cfg(not(feature = "otlp"))]
pub(super) use without::{Never as Export, Never as Ready};

/// The time from a task's end until its span is made, or it leaves: what other threads still have to say of it has
/// come by then.
pub(super) const HOLD_NS: u64 = 300_000_000;

/// The choice where the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnFull {
    /// Drop and count: a target is being watched.
    Drop,
    /// Wait: nobody is kept waiting but the user.
    Wait,
}
