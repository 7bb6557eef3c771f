//! Bits of [`Message::flags`](super::Message::flags).

/// The target wrote the message; otherwise it read it.
pub const WRITTEN: u8 = 1;
/// A request.
pub const REQUEST: u8 = 2;
/// Trailers, not a head.
pub const TRAILERS: u8 = 4;
/// The path was longer.
pub const PATH_CUT: u8 = 8;
/// The record's last 8 bytes are the id of the task that the thread runs as tokio's `CONTEXT` reports; 0: none.
pub const BY: u8 = 16;
/// The record has such a word, which could not be read: the bytes are 0.
pub const BY_UNREADABLE: u8 = 32;
/// A request that began before the response to the one before it had gone through whole.
pub const EARLY: u8 = 64;
