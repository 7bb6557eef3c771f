//! What the target wrote to its standard output or error, as an event holds it.
//!
//! Bytes stay as they came, and are escaped where they are shown.

#[cfg(doc)]
use probe_common::record::PRINT_MAX;

/// Some of the bytes of one call that wrote to standard output or error, or word of some that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    /// The stream written to.
    pub to: Standard,
    /// The bytes; at most [`PRINT_MAX`].
    pub bytes: Vec<u8>,
    /// The bytes that the same call wrote after these and no event holds, if any.
    pub missing: Option<Missing>,
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, zerocopy::TryFromBytes)]
#[repr(u8)]
pub enum Standard {
    /// Descriptor 1.
    Output = 1,
    /// Descriptor 2.
    Error = 2,
}

/// Bytes that no event holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The number of bytes; not 0.
    pub bytes: u64,
    /// True if the last one ended a line.
    pub ends_line: bool,
}
