//! Why bytes are no event.

use probe_common::record::Head;

/// The reason why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are fewer bytes than every record has.
    #[error("a record of {len} bytes is shorter than the {} that each starts with", size_of::<Head>())]
    Short {
        /// The number of bytes.
        len: usize,
    },
    /// The record's kind is none that is known here.
    #[error("no record has the kind {kind}")]
    UnknownKind {
        /// [`Head::kind`].
        kind: u8,
    },
    /// The record contradicts itself.
    #[error("a record of kind {kind} with {len} bytes contradicts itself")]
    Contradiction {
        /// [`Head::kind`].
        kind: u8,
        /// The number of bytes.
        len: usize,
    },
    /// The length is not that of the record's kind.
    #[error("a record of kind {kind} has {expected} bytes, not {len}")]
    Length {
        /// [`Head::kind`].
        kind: u8,
        /// The length of such a record in bytes.
        expected: usize,
        /// The number of bytes.
        len: usize,
    },
}

impl DecodeError {
    /// The error of a record that contradicts itself.
    pub(super) const fn contradiction(head: Head, bytes: &[u8]) -> Self {
        Self::Contradiction { kind: head.kind, len: bytes.len() }
    }
}
