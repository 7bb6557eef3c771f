//! Both directions of a connection, and what one means for the other.
//!
//! A connection that was seen from its beginning is followed from there. One that was not is believed
//! after a trial: a whole exchange, a request and its response, each message beginning and ending with a
//! system call, and nothing in the other direction meanwhile. Nothing of the trial is reported.

use super::{
    Side,
    head::is_method,
    side::{mark, phase},
};
use crate::{
    message_builder::{MessageBuilder, clear},
    record::message,
};

/// Seen from the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// It reads.
    Read = 0,
    /// It writes.
    Written = 1,
}

impl Direction {
    #[inline(always)]
    const fn other(self) -> Self {
        match self {
            Self::Read => Self::Written,
            Self::Written => Self::Read,
        }
    }
}

/// A report about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reported {
    /// Nothing.
    Nothing = 0,
    /// The message.
    Message = 1,
    /// The message, and that the connection left HTTP/1 with it.
    MessageAndLeft = 2,
    /// It left HTTP/1.
    Left = 3,
    /// It cannot be followed any more.
    Lost = 4,
    /// It was given up likewise, but no message of it was reported.
    LostUnreported = 5,
    /// It was closed.
    Closed = 6,
}

/// A connection, or a descriptor that may be one. All zero: nothing is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Connection {
    /// Set while a program is at work on one direction.
    pub busy: [u64; 2],
    /// The bytes read, and those written.
    pub sides: [Side; 2],
    /// Requests that were HEAD or CONNECT: a bit each, by number modulo 64.
    heads: u64,
    connects: u64,
    /// The number of requests, and of final responses to them, that were seen.
    asked: u32,
    answered: u32,
    mode: u8,
    /// The direction of requests, plus one. 0: not known.
    requests: u8,
    trial: u8,
    /// See [`reported`].
    reported: u8,
    /// Set by whoever finds a direction busy.
    pub torn: u32,
}

mod mode {
    /// It is not known where messages begin.
    pub(super) const UNKNOWN: u8 = 0;
    pub(super) const KNOWN: u8 = 1;
    /// It is no HTTP/1.
    pub(super) const LEFT: u8 = 2;
}

/// Values of [`Connection::trial`].
mod trial {
    pub(super) const NONE: u8 = 0;
    pub(super) const REQUEST: u8 = 1;
    pub(super) const REQUEST_WHOLE: u8 = 2;
    pub(super) const RESPONSE: u8 = 3;
}

/// Values of [`Connection::reported`]: what was reported of it since it began.
mod reported {
    pub(super) const NOTHING: u8 = 0;
    /// Messages.
    pub(super) const MESSAGES: u8 = 1;
    /// Last, that it was lost, or left.
    pub(super) const END: u8 = 2;
}

/// More requests than this are not outstanding on one connection.
const OUTSTANDING_MAX: u32 = 64;

impl Connection {
    /// It begins now.
    #[inline(always)]
    pub fn open(&mut self) -> Reported {
        let reported = self.close();
        self.mode = mode::KNOWN;
        reported
    }

    /// It begins now, unless it did before and nothing came through yet: a connection may be asked to
    /// connect more than once.
    #[inline(always)]
    pub fn connect(&mut self) -> Reported {
        let nothing_yet = self.mode == mode::KNOWN && self.requests == 0;
        if nothing_yet { Reported::Nothing } else { self.open() }
    }

    /// It is gone.
    #[inline(always)]
    pub fn close(&mut self) -> Reported {
        let reported = self.reported != reported::NOTHING;
        self.forget(mode::UNKNOWN);
        self.reported = reported::NOTHING;
        if reported { Reported::Closed } else { Reported::Nothing }
    }

    /// Gives it up: it is not known any more at which bytes its messages begin.
    #[inline(always)]
    pub fn lose(&mut self) -> Reported {
        let (reported, mode) = (self.reported, self.mode);
        self.forget(mode::UNKNOWN);
        match (reported, mode) {
            (reported::MESSAGES, _) => {
                self.reported = reported::END;
                Reported::Lost
            }
            (_, mode::KNOWN) => Reported::LostUnreported,
            _ => Reported::Nothing,
        }
    }

    /// Returns `true` if it is to be looked at.
    #[inline(always)]
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.mode != mode::LEFT
    }

    /// Returns `true` if a head in this direction goes on with the next bytes: its draft must be kept.
    #[inline(always)]
    #[must_use]
    pub fn is_inside_head(&self, direction: Direction) -> bool {
        let believed = self.mode == mode::KNOWN || (self.mode == mode::UNKNOWN && self.trial != trial::NONE);
        believed && self.sides[direction as usize & 1].is_inside_head()
    }

    /// One direction.
    #[inline(always)]
    pub fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize & 1]
    }

    /// Bytes go through: called before they are looked at.
    #[inline(always)]
    pub fn begin(&mut self, direction: Direction) {
        if self.mode != mode::UNKNOWN {
            return;
        }
        let asks = self.requests == direction as u8 + 1;
        match self.trial {
            trial::REQUEST if asks => {}
            trial::REQUEST_WHOLE if !asks => self.trial = trial::RESPONSE,
            trial::RESPONSE if !asks => {}
            _ => {
                self.forget(mode::UNKNOWN);
                self.requests = direction as u8 + 1;
                self.trial = trial::REQUEST;
            }
        }
    }

    /// The bytes of a system call were all looked at.
    #[inline(always)]
    pub fn end(&mut self, direction: Direction) {
        if self.mode != mode::UNKNOWN || !self.side(direction).is_between_messages() {
            return;
        }
        match self.trial {
            trial::REQUEST if self.asked == 1 => self.trial = trial::REQUEST_WHOLE,
            trial::RESPONSE if self.asked == 1 && self.answered == 1 => {
                self.mode = mode::KNOWN;
                self.trial = trial::NONE;
            }
            _ => {}
        }
    }

    /// This is not what HTTP/1 looks like.
    #[inline(always)]
    pub fn malformed(&mut self, direction: Direction) -> Reported {
        let never_was = self.requests == 0 && !self.side(direction).is_past_start_line();
        if self.mode == mode::KNOWN && never_was {
            self.forget(mode::LEFT);
            return Reported::Nothing;
        }
        self.lose()
    }

    /// HTTP/2 begins.
    #[inline(always)]
    pub fn http2(&mut self) -> Reported {
        let known = self.mode == mode::KNOWN;
        self.forget(if known { mode::LEFT } else { mode::UNKNOWN });
        if known {
            self.reported = reported::END;
            Reported::Left
        } else {
            Reported::Nothing
        }
    }

    /// The draft is of a whole head: what is to be reported of it. What follows it is passed over or read then.
    #[inline(always)]
    pub fn head(&mut self, direction: Direction, draft: &mut MessageBuilder) -> Reported {
        let is_request = draft.record.flags & message::REQUEST != 0;
        let requests = if is_request { direction } else { direction.other() } as u8 + 1;
        if self.requests != 0 && self.requests != requests {
            return self.malformed(direction);
        }
        if direction as u8 == Direction::Written as u8 {
            draft.record.flags |= message::WRITTEN;
        }
        if is_request && self.is_early(direction) {
            draft.record.flags |= message::EARLY;
        }
        let left = if is_request { self.request(direction, draft) } else { self.response(direction, draft) };
        let Some(left) = left else { return self.malformed(direction) };
        self.requests = requests;
        if self.mode != mode::KNOWN {
            if left {
                self.forget(mode::UNKNOWN);
            }
            return Reported::Nothing;
        }
        self.reported = reported::MESSAGES;
        if left {
            self.forget(mode::LEFT);
            self.reported = reported::END;
            return Reported::MessageAndLeft;
        }
        Reported::Message
    }

    /// Returns `true` if a request in this direction comes before the response to the one before has gone through whole.
    #[inline(always)]
    fn is_early(&mut self, direction: Direction) -> bool {
        self.asked != self.answered || !self.side(direction.other()).is_between_messages()
    }

    /// Notes the request and what follows its head; `None` if that cannot be known.
    #[inline(always)]
    fn request(&mut self, direction: Direction, draft: &MessageBuilder) -> Option<bool> {
        let (is_head, is_connect) = (is_method(draft, *b"HEAD\0\0\0"), is_method(draft, *b"CONNECT"));
        if self.asked.wrapping_sub(self.answered) >= OUTSTANDING_MAX {
            return None;
        }
        let side = self.side(direction);
        let (marks, length) = (side.marks, side.length);
        let has = |mark| marks & mark != 0;
        if has(mark::ENCODING) && (has(mark::LENGTH) || !has(mark::CHUNKED) || has(mark::OLD)) {
            return None;
        }
        side.restart();
        let has_body = has(mark::CHUNKED) || length > 0;
        if is_connect || (has(mark::UPGRADE) && !has_body) {
            side.phase = phase::AWAIT;
        } else {
            side.begin_body(has(mark::CHUNKED), length);
        }
        let bit = 1 << (self.asked & (OUTSTANDING_MAX - 1));
        self.heads = if is_head { self.heads | bit } else { self.heads & !bit };
        self.connects = if is_connect { self.connects | bit } else { self.connects & !bit };
        self.asked = self.asked.wrapping_add(1);
        Some(false)
    }

    /// Notes the response and what follows its head; whether HTTP/1 ends with it. `None` if what follows
    /// cannot be known.
    #[inline(always)]
    fn response(&mut self, direction: Direction, draft: &mut MessageBuilder) -> Option<bool> {
        let side = self.side(direction);
        let (marks, length, status) = (side.marks, side.length, side.status);
        let has = |mark| marks & mark != 0;
        draft.record.status = status;
        side.restart();
        if status < 200 {
            return Some(status == 101);
        }
        let (mut to_head, mut to_connect) = (false, false);
        if self.asked != self.answered {
            let bit = 1 << (self.answered & (OUTSTANDING_MAX - 1));
            (to_head, to_connect) = (self.heads & bit != 0, self.connects & bit != 0);
            self.answered = self.answered.wrapping_add(1);
        }
        if to_connect && status < 300 {
            return Some(true);
        }
        let all_answered = self.asked == self.answered;
        let asking = self.side(direction.other());
        if all_answered && asking.phase == phase::AWAIT {
            if asking.marks & mark::STRAY != 0 {
                return None;
            }
            asking.restart();
        }
        if has(mark::ENCODING) && (has(mark::LENGTH) || has(mark::OLD)) {
            return None;
        }
        let side = self.side(direction);
        if to_head || status == 204 || status == 304 {
            // No body, whatever the headers say.
        } else if has(mark::CHUNKED) || (has(mark::LENGTH) && !has(mark::ENCODING)) {
            side.begin_body(has(mark::CHUNKED), length);
        } else {
            side.phase = phase::UNTIL_CLOSE;
        }
        Some(false)
    }

    #[inline(always)]
    fn forget(&mut self, mode: u8) {
        self.sides[0].restart();
        self.sides[1].restart();
        clear(&mut self.asked);
        clear(&mut self.answered);
        clear(&mut self.requests);
        clear(&mut self.trial);
        self.mode = mode;
    }
}

impl Side {
    #[inline(always)]
    fn begin_body(&mut self, chunked: bool, length: u64) {
        if chunked {
            self.phase = phase::CHUNK;
        } else if length > 0 {
            (self.phase, self.left) = (phase::BODY, length);
        }
    }
}
