//! What the target wrote to its standard output or error, as an event holds it, and its record.
//!
//! Bytes stay as they came, and are escaped where they are shown.

use probe_common::record::{self, Head, Kind, PRINT_MAX};
use zerocopy::IntoBytes as _;

/// Some of the bytes of one call that wrote to standard output or error, or word of some that are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print {
    /// Where to.
    pub to: Standard,
    /// The bytes; at most [`PRINT_MAX`].
    pub bytes: Vec<u8>,
    /// What the same call wrote after these that no event holds, if anything.
    pub missing: Option<Missing>,
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// How many; not 0.
    pub bytes: u64,
    /// Whether the last one ended a line.
    pub ends_line: bool,
}

/// What is in a record whose fixed part is `record` and whose rest is `bytes`; `None` where the two do not
/// fit, or it says what no record says.
pub(super) fn decode(record: &record::Print, bytes: &[u8]) -> Option<Print> {
    let to = match record.descriptor {
        1 => Standard::Output,
        2 => Standard::Error,
        _ => return None,
    };
    let fits = bytes.len() == usize::from(record.len) && bytes.len() <= PRINT_MAX && record.ends_line <= 1;
    let ends_line = record.ends_line == 1;
    let missing = (record.missing > 0).then_some(Missing { bytes: record.missing, ends_line });
    let known = !ends_line || missing.is_some();
    (fits && known).then(|| Print { to, bytes: bytes.to_vec(), missing })
}

/// Appends the record to `out`. Bytes that a record has no room for are cut.
pub(super) fn encode(print: &Print, head: impl FnOnce(u8) -> Head, out: &mut Vec<u8>) {
    let bytes = &print.bytes[..print.bytes.len().min(PRINT_MAX)];
    let record = record::Print {
        head: head(Kind::Print as u8),
        missing: print.missing.map_or(0, |missing| missing.bytes),
        len: bytes.len() as u16,
        descriptor: print.to as u8,
        ends_line: print.missing.is_some_and(|missing| missing.ends_line).into(),
        zero: 0,
    };
    out.extend_from_slice(record.as_bytes());
    out.extend_from_slice(bytes);
}
