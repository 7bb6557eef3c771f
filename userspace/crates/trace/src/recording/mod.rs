//! Recordings: events, facts and losses in one `.ascope` file.
//!
//! A recording is a header and then blocks, each with a checksum of its own and each written with one
//! write. So what a killed recorder leaves can be read up to the last whole block. `docs/recording.md`
//! describes every byte.

mod block;
mod error;
mod read;
mod write;

pub use self::error::{Damage, DamageKind, ReadError};
pub use self::read::{Reader, Recording, read};
pub use self::write::Writer;

/// The version of the format that is written here, and the only one that is read.
pub const VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"ASCOPE\r\n";
const HEADER_LEN: usize = 16;

#[cfg(test)]
mod tests;
