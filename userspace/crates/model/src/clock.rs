//! The time, as far as events have come.

/// The time and the epoch, as far as events have come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// The newest time seen, in nanoseconds; never goes back, whatever the events say.
    pub(crate) now: u64,
    /// The number of gaps so far. What was learnt in an earlier epoch is doubtful.
    pub(crate) epoch: u64,
}
