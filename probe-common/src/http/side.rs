//! One direction of a connection: how far into which message it is.

use crate::message_builder::clear;

/// The progress of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Side {
    /// Bytes of the body or chunk that are still to come.
    pub(super) left: u64,
    /// The value of Content-Length, as far as it was read.
    pub(super) length: u64,
    /// The names that the header being read may still have; see [`super::Names`].
    pub(super) candidates: u32,
    pub(super) phase: u8,
    /// The position in a name, a number or a fixed text.
    pub(super) at: u8,
    pub(super) marks: u8,
    pub(super) zero: u8,
    /// Blanks at the end of the value being read, so far.
    pub(super) blanks: u32,
    pub(super) status: u16,
    pub(super) padding: u16,
}

/// Values of [`Side::phase`]. Those below `BODY` are inside of a head.
pub(super) mod phase {
    /// Before the first byte of a message.
    pub(crate) const START: u8 = 0;
    pub(crate) const METHOD: u8 = 1;
    /// Before the first byte of a request's target.
    pub(crate) const TARGET: u8 = 2;
    /// In the scheme and the authority of a target in absolute form.
    pub(crate) const ABSOLUTE: u8 = 3;
    pub(crate) const PATH: u8 = 4;
    /// The rest behind the path, which is never kept.
    pub(crate) const QUERY: u8 = 5;
    pub(crate) const REQUEST_VERSION: u8 = 6;
    /// Behind the `HTTP/` of a status line.
    pub(crate) const RESPONSE_VERSION: u8 = 7;
    pub(crate) const STATUS: u8 = 8;
    pub(crate) const REQUEST_LINE_END: u8 = 9;
    /// After the CR of a line.
    pub(crate) const LINE_FEED: u8 = 10;
    /// Before the first byte of a header's line.
    pub(crate) const LINE: u8 = 11;
    pub(crate) const NAME: u8 = 12;
    /// Before the first byte of a value.
    pub(crate) const BLANKS: u8 = 13;
    pub(crate) const VALUE: u8 = 14;
    pub(crate) const LENGTH: u8 = 15;
    pub(crate) const LENGTH_BLANKS: u8 = 16;
    pub(crate) const ENCODING: u8 = 17;
    /// In the rest of a line that says nothing.
    pub(crate) const SKIP: u8 = 18;
    /// After the CR of the empty line.
    pub(crate) const HEAD_LINE_FEED: u8 = 19;

    /// The rest of a body whose length is known.
    pub(crate) const BODY: u8 = 32;
    /// Before the first digit of a chunk's size.
    pub(crate) const CHUNK: u8 = 33;
    pub(crate) const CHUNK_SIZE: u8 = 34;
    pub(crate) const CHUNK_BLANKS: u8 = 35;
    pub(crate) const CHUNK_EXTENSION: u8 = 36;
    pub(crate) const CHUNK_LINE_FEED: u8 = 37;
    pub(crate) const CHUNK_DATA: u8 = 38;
    pub(crate) const CHUNK_END: u8 = 39;
    pub(crate) const CHUNK_END_LINE_FEED: u8 = 40;
    /// Before the first byte of a trailer's line.
    pub(crate) const TRAILER: u8 = 41;
    pub(crate) const TRAILER_SKIP: u8 = 42;
    pub(crate) const TRAILER_LINE_FEED: u8 = 43;
    pub(crate) const TRAILERS_LINE_FEED: u8 = 44;
    /// A body up to the connection's end.
    pub(crate) const UNTIL_CLOSE: u8 = 48;
    /// After a CONNECT, or a request to upgrade, until its response says what this is.
    pub(crate) const AWAIT: u8 = 49;
}

/// Bits of [`Side::marks`].
pub(super) mod mark {
    /// The head is a response's.
    pub(crate) const RESPONSE: u8 = 1;
    pub(crate) const LENGTH: u8 = 2;
    pub(crate) const ENCODING: u8 = 4;
    pub(crate) const CHUNKED: u8 = 8;
    /// HTTP/1.0.
    pub(crate) const OLD: u8 = 16;
    /// Bytes came while a response was awaited that says what they are.
    pub(crate) const STRAY: u8 = 32;
    /// The request asks to leave HTTP.
    pub(crate) const UPGRADE: u8 = 64;
}

impl Side {
    /// Before a message.
    #[inline(always)]
    pub(super) fn restart(&mut self) {
        clear(&mut self.left);
        clear(&mut self.length);
        clear(&mut self.candidates);
        clear(&mut self.phase);
        clear(&mut self.at);
        clear(&mut self.marks);
        clear(&mut self.blanks);
        clear(&mut self.status);
    }

    /// Returns `true` if a head has begun and is not whole: its draft must be kept.
    #[inline(always)]
    #[must_use]
    pub fn is_inside_head(&self) -> bool {
        self.phase != phase::START && self.phase < phase::BODY
    }

    /// Returns `true` if the start line of a head was read, so that this is HTTP.
    #[inline(always)]
    #[must_use]
    pub fn is_past_start_line(&self) -> bool {
        self.phase >= phase::LINE_FEED
    }

    #[inline(always)]
    pub(super) fn is_between_messages(&self) -> bool {
        self.phase == phase::START
    }

    /// Passes over what need not be read: how many of the next `available` bytes.
    #[inline(always)]
    pub fn skip(&mut self, available: u64) -> u64 {
        match self.phase {
            phase::BODY | phase::CHUNK_DATA => {
                let skipped = if available < self.left { available } else { self.left };
                self.left -= skipped;
                if self.left == 0 {
                    if self.phase == phase::BODY {
                        self.restart();
                    } else {
                        self.phase = phase::CHUNK_END;
                    }
                }
                skipped
            }
            phase::UNTIL_CLOSE => available,
            phase::AWAIT => {
                self.marks |= mark::STRAY;
                available
            }
            _ => 0,
        }
    }
}
