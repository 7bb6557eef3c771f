//! The bytes of one block: a head, and a payload that may be compressed.

use std::io;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::error::DamageKind;

pub(super) const HEAD_LEN: usize = 20;

/// A block's kind: [`crate::facts::Facts`] as JSON.
pub(super) const FACTS: u8 = 1;
/// A block's kind: records, each after its length as a `u16`.
pub(super) const EVENTS: u8 = 2;
/// A block's kind: pairs of a name and a count as JSON.
pub(super) const LOSS: u8 = 3;
/// A block's kind: a [`RecordingEnd`] as JSON.
pub(super) const END: u8 = 4;

const MAGIC: [u8; 4] = *b"ABLK";
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// The offset of the checksum in the head: behind the bytes of the head that it covers.
const CRC_AT: usize = 16;

/// The longest payload of an event block in bytes, before compression.
const MAX_EVENTS: u32 = 4 << 20;
/// The longest payload of a block of a few counts.
const MAX_SMALL: u32 = 64 << 10;
/// The longest payload of any other block: facts hold a name for each task type, and some are long.
const MAX_OTHER: u32 = 64 << 20;

/// The end of a recording.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct RecordingEnd {
    /// The time, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) monotonic_ns: u64,
}

/// A block's head, its lengths checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHead {
    pub(super) kind: u8,
    /// The length of the payload in the file, in bytes. Not more than `raw_len`.
    pub(super) stored_len: u32,
    codec: u8,
    /// The length of the payload when decompressed, in bytes. Not more than the kind's limit.
    raw_len: u32,
}

/// A block's head as it lies in the file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawHead {
    magic: [u8; 4],
    kind: u8,
    codec: u8,
    zero: [u8; 2],
    raw_len: U32,
    stored_len: U32,
    crc: U32,
}

const _: () = assert!(size_of::<RawHead>() == HEAD_LEN);

impl BlockHead {
    /// Reads a head; [`BlockHead::is_intact`] checks the checksum.
    pub(super) fn parse(bytes: &[u8; HEAD_LEN]) -> Result<Self, DamageKind> {
        let RawHead { magic, kind, codec, zero, raw_len, stored_len, crc: _ } = zerocopy::transmute!(*bytes);
        if magic != MAGIC || zero != [0; 2] {
            return Err(DamageKind::NoBlock);
        }
        let (raw_len, stored_len, limit) = (raw_len.get(), stored_len.get(), limit(kind));
        if raw_len > limit || stored_len > raw_len {
            return Err(DamageKind::Lengths { raw_len, stored_len, limit });
        }
        Ok(Self { kind, stored_len, codec, raw_len })
    }

    /// Returns `true` if blocks of this kind mean anything here.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.kind, FACTS | EVENTS | LOSS | END)
    }

    /// Returns `true` if the checksum in `head` is that of the head and the payload as it is stored.
    pub(super) fn is_intact(head: &[u8; HEAD_LEN], stored: &[u8]) -> bool {
        head[CRC_AT..] == checksum(&head[..CRC_AT], stored)
    }

    /// Leaves the payload in `raw`. Allocates no more than the kind's limit.
    pub(super) fn unpack(&self, stored: &[u8], raw: &mut Vec<u8>) -> Result<(), DamageKind> {
        raw.clear();
        match self.codec {
            PLAIN if stored.len() == self.raw_len as usize => raw.extend_from_slice(stored),
            LZ4 => {
                raw.resize(self.raw_len as usize, 0);
                let len = lz4_flex::block::decompress_into(stored, raw).map_err(|_| DamageKind::Compression)?;
                if len != raw.len() {
                    return Err(DamageKind::Compression);
                }
            }
            PLAIN => return Err(DamageKind::Compression),
            codec => return Err(DamageKind::Codec(codec)),
        }
        Ok(())
    }
}

/// Appends a block to `out`.
///
/// # Errors
/// If the payload is longer than blocks of this kind may be.
pub(super) fn append(kind: u8, raw: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let limit = limit(kind);
    let raw_len = u32::try_from(raw.len()).ok().filter(|&len| len <= limit).ok_or_else(|| {
        let len = raw.len();
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a block of {len} bytes does not fit into a recording, whose blocks of kind {kind} have at most {limit}"
            ),
        )
    })?;
    let begin = out.len();
    let payload = begin + HEAD_LEN;
    // Where the block will lie: a buffer of its own, large and come and gone with each block, tears holes into the heap.
    out.resize(payload + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
    let compressed = lz4_flex::block::compress_into(raw, &mut out[payload..]).map_err(io::Error::other)?;
    let codec = if compressed < raw.len() {
        out.truncate(payload + compressed);
        LZ4
    } else {
        out.truncate(payload);
        out.extend_from_slice(raw);
        PLAIN
    };
    // Never longer than `raw`, whose length fits.
    let stored_len = U32::new((out.len() - payload) as u32);
    let raw_len = U32::new(raw_len);
    let mut head = RawHead { magic: MAGIC, kind, codec, zero: [0; 2], raw_len, stored_len, crc: U32::ZERO };
    head.crc = checksum(&head.as_bytes()[..CRC_AT], &out[payload..]).into();
    out[begin..payload].copy_from_slice(head.as_bytes());
    Ok(())
}

const fn limit(kind: u8) -> u32 {
    match kind {
        EVENTS => MAX_EVENTS,
        LOSS | END => MAX_SMALL,
        _ => MAX_OTHER,
    }
}

fn checksum(head: &[u8], stored: &[u8]) -> [u8; 4] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(stored);
    crc.finalize().to_le_bytes()
}
