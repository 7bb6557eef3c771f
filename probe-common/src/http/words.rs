//! Several bytes of a head at a time: a step costs more than what it does with a byte.
//!
//! Each of these does what [`super::head`] does with the same bytes one by one, and leaves to it whatever is rare.

use super::{
    Event, Names, Side, Step,
    side::{mark, phase},
};
use crate::{message_builder::MessageBuilder, record::message};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const CRLF: u16 = u16::from_le_bytes(*b"\r\n");
const SPACE: u8 = b' ';
const DELETE: u8 = 0x7f;
/// The least byte that is neither a blank nor a control character.
const VISIBLE: u8 = SPACE + 1;

/// Takes some of the next bytes, or none; as for [`super::step`].
#[inline(always)]
pub(super) fn step(side: &mut Side, draft: &mut MessageBuilder, names: &Names, next: u64, available: u32) -> Step {
    let taken = match side.phase {
        phase::START => start(side, draft, next, available),
        phase::TARGET | phase::PATH => path(side, draft, next, available),
        // An `@` ends a CONNECT badly.
        phase::QUERY => before(below(next, VISIBLE) | equal(next, DELETE) | equal(next, b'@'), available),
        phase::REQUEST_VERSION => request_version(side, next, available),
        phase::RESPONSE_VERSION => status(side, next, available),
        phase::REQUEST_LINE_END => line_end(side, next, available),
        phase::LINE if available >= 2 && next as u16 == CRLF => return Step { taken: 2, event: Event::Head },
        phase::LINE | phase::NAME => name(side, names, next, available),
        phase::VALUE => value(side, draft, next, available),
        phase::SKIP => skip(side, next, available),
        _ => 0,
    };
    Step { taken, event: Event::Nothing }
}

/// The number of bytes that [`is_rest_of_line`] looks at.
pub const WIDE: usize = 32;

/// Returns `true` if all of these bytes belong to a line that says nothing, and can be passed over: nothing changes.
#[inline(always)]
#[must_use]
pub fn is_rest_of_line(side: &Side, bytes: [u64; WIDE / 8]) -> bool {
    if side.phase != phase::SKIP {
        return false;
    }
    let [first, second, third, fourth] = bytes;
    ends_of_skip(first) | ends_of_skip(second) | ends_of_skip(third) | ends_of_skip(fourth) == 0
}

/// The bytes that have to be looked at in the rest of a line, as [`below`] marks them.
#[inline(always)]
const fn ends_of_skip(word: u64) -> u64 {
    below(word, SPACE) | equal(word, DELETE)
}

/// The highest bit of each byte that is less; above the lowest of these also of some others.
///
/// <https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord>
#[inline(always)]
const fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(ONES * least as u64) & !word & HIGH
}

/// Sets that bit of each byte that is this one.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Returns the number of bytes before the lowest of these bits.
#[inline(always)]
fn before(found: u64, available: u32) -> u32 {
    // The lowest bit alone, moved to the lowest bit of its byte, brings the byte's number to the top.
    const NUMBERS: u64 = 0x0001_0203_0405_0607;
    let lowest = (found & found.wrapping_neg()) >> 7;
    let count = if found == 0 { 8 } else { (lowest.wrapping_mul(NUMBERS) >> 56) as u32 };
    if count < available { count } else { available }
}

/// The byte at this place, from 0 to 7.
#[inline(always)]
fn byte(word: u64, place: u32) -> u8 {
    (word >> ((place & 7) * 8)) as u8
}

/// The beginnings of the usual messages.
#[inline(always)]
fn start(side: &mut Side, draft: &mut MessageBuilder, next: u64, available: u32) -> u32 {
    const RESPONSE: u64 = u64::from_le_bytes(*b"HTTP/1.1");
    const GET: u32 = u32::from_le_bytes(*b"GET ");
    const POST: u64 = u64::from_le_bytes(*b"POST \0\0\0");
    if available >= 8 && next == RESPONSE {
        side.restart();
        draft.clear();
        side.marks = mark::RESPONSE;
        (side.phase, side.at) = (phase::RESPONSE_VERSION, 3);
        return 8;
    }
    let (method, len) = if available >= 4 && next as u32 == GET {
        (next, 3)
    } else if available >= 5 && next << 24 == POST << 24 {
        (next, 4)
    } else {
        return 0;
    };
    side.restart();
    draft.clear();
    draft.set_method(method, len);
    draft.record.flags |= message::REQUEST;
    side.phase = phase::TARGET;
    u32::from(len) + 1
}

/// A path, and the blank behind it.
#[inline(always)]
fn path(side: &mut Side, draft: &mut MessageBuilder, next: u64, available: u32) -> u32 {
    if side.phase == phase::TARGET && byte(next, 0) != b'/' {
        return 0;
    }
    let ends = below(next, VISIBLE) | equal(next, DELETE) | equal(next, b'?') | equal(next, b'#') | equal(next, b'@');
    let count = before(ends, available);
    if !draft.push_path_bytes(next, count) {
        return 0;
    }
    side.phase = phase::PATH;
    if count < available && count < 8 && byte(next, count) == SPACE && draft.record.path_len > 0 {
        (side.phase, side.at) = (phase::REQUEST_VERSION, 0);
        return count + 1;
    }
    count
}

#[inline(always)]
fn request_version(side: &mut Side, next: u64, available: u32) -> u32 {
    const VERSION: u64 = u64::from_le_bytes(*b"HTTP/1.1");
    if side.at != 0 || available < 8 || next != VERSION {
        return 0;
    }
    (side.phase, side.at) = (phase::REQUEST_LINE_END, 7);
    8
}

/// A blank, three digits, a blank.
#[inline(always)]
fn status(side: &mut Side, next: u64, available: u32) -> u32 {
    let digit = |place| u16::from(byte(next, place).wrapping_sub(b'0'));
    let (first, second, third) = (digit(1), digit(2), digit(3));
    let is_status = byte(next, 0) == SPACE && byte(next, 4) == SPACE && first > 0 && first < 10;
    if side.at != 3 || available < 5 || !is_status || second > 9 || third > 9 {
        return 0;
    }
    side.status = first * 100 + second * 10 + third;
    side.phase = phase::SKIP;
    5
}

#[inline(always)]
fn line_end(side: &mut Side, next: u64, available: u32) -> u32 {
    if available < 2 || next as u16 != CRLF {
        return 0;
    }
    side.phase = phase::LINE;
    2
}

/// Four bytes that some name has there; or one that none has, and what follows it.
#[inline(always)]
fn name(side: &mut Side, names: &Names, next: u64, available: u32) -> u32 {
    let (at, candidates) = if side.phase == phase::LINE { (0, u32::MAX) } else { (side.at, side.candidates) };
    if available < 4 {
        return 0;
    }
    let first = candidates & names.having(at, byte(next, 0));
    if first == 0 {
        if !byte(next, 0).is_ascii_alphanumeric() {
            return 0;
        }
        (side.phase, side.candidates) = (phase::SKIP, 0);
        // The byte that is shifted in ends what is passed over.
        return 1 + skip(side, next >> 8, available - 1);
    }
    let second = first & names.having(at.wrapping_add(1), byte(next, 1));
    let third = second & names.having(at.wrapping_add(2), byte(next, 2));
    let fourth = third & names.having(at.wrapping_add(3), byte(next, 3));
    if fourth == 0 {
        return 0;
    }
    (side.phase, side.at, side.candidates) = (phase::NAME, at.wrapping_add(4), fourth);
    4
}

/// The visible part of a value.
#[inline(always)]
fn value(side: &mut Side, draft: &mut MessageBuilder, next: u64, available: u32) -> u32 {
    let count = before(below(next, VISIBLE) | equal(next, DELETE), available);
    if count == 0 || !draft.push_value_bytes(next, count) {
        return 0;
    }
    side.blanks = 0;
    count
}

/// The rest of a line, and its end.
#[inline(always)]
fn skip(side: &mut Side, next: u64, available: u32) -> u32 {
    let count = before(ends_of_skip(next), available);
    let is_end = count < 7 && count + 2 <= available && (next >> ((count & 7) * 8)) as u16 == CRLF;
    if is_end {
        side.phase = phase::LINE;
        return count + 2;
    }
    count
}
