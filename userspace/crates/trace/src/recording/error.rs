//! What can be wrong with a recording.

use std::io;

use super::{HEADER_LEN, VERSION};
use crate::event::decode::DecodeError;

/// The reason why nothing of a recording can be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file has fewer bytes than a recording's header.
    #[error("the file ends after {len} bytes, inside the {HEADER_LEN} bytes that each recording starts with")]
    Short {
        /// The number of bytes it has.
        len: usize,
    },
    /// The header is not a recording's.
    #[error("the file is no asyncscope recording: it does not start like one")]
    NotARecording,
    /// An asyncscope that writes another version of the format wrote it.
    #[error(
        "the recording was written in version {found} of the format, and this asyncscope reads version {VERSION}: use {} one",
        if *found > VERSION { "a later" } else { "an earlier" }
    )]
    OtherVersion {
        /// The version in the header.
        found: u32,
    },
    /// The block with the first facts cannot be read.
    #[error(
        "the recording's facts about its target, at byte {offset}, cannot be read, and without them its events mean nothing: the block {what}"
    )]
    NoFacts {
        /// The start of the block, in bytes from the file's start.
        offset: u64,
        /// The damage to it.
        what: DamageKind,
    },
    /// The header could not be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The place where a recording stops being readable, and the reason.
#[derive(Debug)]
pub struct Damage {
    /// The start of the first block that cannot be used, in bytes from the file's start.
    pub offset: u64,
    /// The damage to that block.
    pub what: DamageKind,
}

/// The damage to a block: the rest of a sentence that starts with it.
#[derive(Debug, thiserror::Error)]
pub enum DamageKind {
    /// The file ends inside the block.
    #[error("is cut off: the file ends inside of it")]
    CutOff,
    /// The bytes are no block's.
    #[error("does not start as blocks do")]
    NoBlock,
    /// The lengths are not possible.
    #[error("claims {stored_len} bytes, {raw_len} when decompressed, where at most {limit} are possible")]
    Lengths {
        /// The length of the payload when decompressed.
        raw_len: u32,
        /// The length of the payload in the file.
        stored_len: u32,
        /// The longest that `raw_len` can be.
        limit: u32,
    },
    /// The checksum is not that of the block's bytes.
    #[error("is corrupt: its checksum is not that of its bytes")]
    Checksum,
    /// The codec is not known.
    #[error("is compressed in a way that is not known here ({0})")]
    Codec(u8),
    /// The payload cannot be decompressed to the length that the head claims.
    #[error("cannot be decompressed")]
    Compression,
    /// The JSON in it cannot be read, or not as what it should be.
    // The error's own words may quote the file, control characters and all.
    #[error("holds JSON that cannot be read from line {}, column {} on", .0.line(), .0.column())]
    Json(serde_json::Error),
    /// A record reaches beyond the block.
    #[error("ends inside a record")]
    RecordCutOff,
    /// A record does not make sense.
    #[error("holds a bad record: {0}")]
    Record(DecodeError),
    /// Facts were expected.
    #[error("is of kind {0}, not facts")]
    NotFacts(u8),
    /// The file could not be read further.
    #[error("cannot be read: {0}")]
    Io(io::Error),
}
