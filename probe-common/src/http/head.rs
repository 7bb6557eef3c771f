//! The bytes of heads and of chunks' sizes.

use super::{
    Event, Names, Side, Step,
    names::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, is_token, place},
    side::{mark, phase},
    words,
};
use crate::{message_builder::MessageBuilder, record::message};

const CR: u8 = b'\r';
const LF: u8 = b'\n';
/// The first bytes of a TLS connection: a record of the type handshake (22), and the major version 3.
/// <https://www.rfc-editor.org/rfc/rfc8446#section-5.1>
const HANDSHAKE: u16 = 0x0316;
const NOTHING: Event = Event::Nothing;
const MALFORMED: Event = Event::Malformed;

/// Takes some of the next bytes, of which `next` holds up to eight, the first in its lowest bits, and of
/// which `available` are there: at least one.
#[inline(always)]
pub fn step(side: &mut Side, draft: &mut MessageBuilder, names: &Names, next: u64, available: u32) -> Step {
    if side.phase == phase::START && available >= 2 && next as u16 == HANDSHAKE {
        return Step { taken: 1, event: Event::Encrypted };
    }
    let several = words::step(side, draft, names, next, available);
    if several.taken > 0 {
        return several;
    }
    let event = if side.phase < phase::LINE_FEED {
        start_line(side, draft, next as u8)
    } else if side.phase < phase::BODY {
        headers(side, draft, names, next as u8)
    } else {
        chunks(side, next as u8)
    };
    Step { taken: 1, event }
}

#[inline(always)]
fn start_line(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    match side.phase {
        phase::START => start(side, draft, byte),
        phase::METHOD => method(side, draft, byte),
        phase::TARGET => target(side, draft, byte),
        phase::ABSOLUTE => absolute(side, draft, byte),
        phase::PATH | phase::QUERY => path(side, draft, byte),
        phase::REQUEST_VERSION => request_version(side, draft, byte),
        phase::RESPONSE_VERSION => response_version(side, byte),
        phase::STATUS => status(side, byte),
        _ => line_end(side, byte),
    }
}

#[inline(always)]
fn start(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    if byte == CR || byte == LF {
        return NOTHING;
    }
    side.restart();
    draft.clear();
    side.phase = phase::METHOD;
    method(side, draft, byte)
}

#[inline(always)]
fn method(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    if byte == b' ' && draft.record.method_len > 0 {
        side.phase = phase::TARGET;
        draft.record.flags |= message::REQUEST;
        return NOTHING;
    }
    if byte == b'/' && is_method(draft, *b"HTTP\0\0\0") {
        draft.clear();
        side.marks |= mark::RESPONSE;
        (side.phase, side.at) = (phase::RESPONSE_VERSION, 0);
        return NOTHING;
    }
    if is_token(byte) && draft.push_method(byte) { NOTHING } else { MALFORMED }
}

/// Returns `true` if the method is this one, which is padded with NUL.
#[inline(always)]
pub(super) fn is_method(draft: &MessageBuilder, method: [u8; 7]) -> bool {
    let len = draft.record.method_len;
    let mut same = true;
    let mut place = 0;
    while place < 7 {
        let byte = if place < usize::from(len) { draft.tail[place] } else { 0 };
        same &= byte == method[place];
        place += 1;
    }
    same && len <= 7
}

/// Of a target in absolute form only the path is kept: what stands before it may hold a password.
#[inline(always)]
fn target(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    let keep = byte == b'/' || byte == b'*' || is_method(draft, *b"CONNECT");
    if keep {
        side.phase = phase::PATH;
        return path(side, draft, byte);
    }
    if byte <= b' ' || byte == 0x7f || byte == b'?' {
        return MALFORMED;
    }
    (side.phase, side.at) = (phase::ABSOLUTE, 0);
    NOTHING
}

/// The third slash begins the path.
#[inline(always)]
fn absolute(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    if byte == b'/' {
        side.at += 1;
        if side.at < 3 {
            return NOTHING;
        }
        side.phase = phase::PATH;
    } else if byte > b' ' && byte != b'?' && byte != b'#' {
        return if byte == 0x7f { MALFORMED } else { NOTHING };
    } else {
        draft.push_path(b'/');
        side.phase = phase::PATH;
    }
    path(side, draft, byte)
}

#[inline(always)]
fn path(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    if byte == b' ' && draft.record.path_len > 0 {
        (side.phase, side.at) = (phase::REQUEST_VERSION, 0);
    } else if byte <= b' ' || byte == 0x7f {
        return MALFORMED;
    } else if byte == b'?' || byte == b'#' {
        side.phase = phase::QUERY;
    } else if byte == b'@' && is_method(draft, *b"CONNECT") {
        return MALFORMED;
    } else if side.phase == phase::PATH {
        draft.push_path(byte);
    }
    NOTHING
}

#[inline(always)]
fn request_version(side: &mut Side, draft: &MessageBuilder, byte: u8) -> Event {
    let expected = match side.at {
        0 => b'H',
        1 | 2 => b'T',
        3 => b'P',
        4 => b'/',
        5 if byte == b'2' && is_method(draft, *b"PRI\0\0\0\0") => return Event::Http2,
        5 => b'1',
        6 => b'.',
        _ => return minor_version(side, byte, phase::REQUEST_LINE_END),
    };
    side.at += 1;
    if byte == expected { NOTHING } else { MALFORMED }
}

#[inline(always)]
fn response_version(side: &mut Side, byte: u8) -> Event {
    let expected = match side.at {
        0 => b'1',
        1 => b'.',
        2 => {
            side.at = 3;
            return minor_version(side, byte, phase::RESPONSE_VERSION);
        }
        _ => b' ',
    };
    if side.at == 3 {
        (side.phase, side.at) = (phase::STATUS, 0);
    } else {
        side.at += 1;
    }
    if byte == expected { NOTHING } else { MALFORMED }
}

#[inline(always)]
fn minor_version(side: &mut Side, byte: u8, then: u8) -> Event {
    side.phase = then;
    match byte {
        b'0' => side.marks |= mark::OLD,
        b'1' => {}
        _ => return MALFORMED,
    }
    NOTHING
}

#[inline(always)]
fn status(side: &mut Side, byte: u8) -> Event {
    if side.at < 3 {
        if !byte.is_ascii_digit() {
            return MALFORMED;
        }
        side.status = side.status.wrapping_mul(10).wrapping_add(u16::from(byte - b'0'));
        side.at += 1;
        return NOTHING;
    }
    if side.status < 100 {
        return MALFORMED;
    }
    if byte == b' ' {
        side.phase = phase::SKIP;
        return NOTHING;
    }
    line_end(side, byte)
}

/// A bare LF ends a line for httparse, too.
#[inline(always)]
fn line_end(side: &mut Side, byte: u8) -> Event {
    match byte {
        CR => side.phase = phase::LINE_FEED,
        LF => side.phase = phase::LINE,
        _ => return MALFORMED,
    }
    NOTHING
}

#[inline(always)]
fn headers(side: &mut Side, draft: &mut MessageBuilder, names: &Names, byte: u8) -> Event {
    match side.phase {
        phase::LINE_FEED if byte == LF => side.phase = phase::LINE,
        phase::LINE => return line(side, names, byte),
        phase::NAME => return name(side, names, byte),
        phase::BLANKS | phase::VALUE => return value(side, draft, byte),
        phase::LENGTH | phase::LENGTH_BLANKS => return length(side, byte),
        phase::ENCODING => return encoding(side, byte),
        phase::SKIP if is_in_value(byte) => {}
        phase::SKIP => return line_end(side, byte),
        phase::HEAD_LINE_FEED if byte == LF => return Event::Head,
        _ => return MALFORMED,
    }
    NOTHING
}

#[inline(always)]
fn is_in_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[inline(always)]
fn line(side: &mut Side, names: &Names, byte: u8) -> Event {
    match byte {
        CR => side.phase = phase::HEAD_LINE_FEED,
        LF => return Event::Head,
        _ => {
            (side.phase, side.at, side.candidates) = (phase::NAME, 0, u32::MAX);
            return name(side, names, byte);
        }
    }
    NOTHING
}

/// A name that can be none of those that matter is not looked at to its end: what is wrong with it
/// changes nothing in the framing. One that may still be is, so that no blank hides it.
#[inline(always)]
fn name(side: &mut Side, names: &Names, byte: u8) -> Event {
    if byte == b':' {
        side.candidates &= names.of_length(side.at);
        if side.at == 0 {
            return MALFORMED;
        }
        (side.phase, side.at, side.blanks) = (if side.candidates == 0 { phase::SKIP } else { phase::BLANKS }, 0, 0);
        return begin_special(side);
    }
    if !is_token(byte) {
        return MALFORMED;
    }
    side.candidates &= names.having(side.at, byte);
    side.at = side.at.wrapping_add(1);
    if side.candidates == 0 {
        side.phase = phase::SKIP;
    }
    NOTHING
}

#[inline(always)]
fn begin_special(side: &mut Side) -> Event {
    if side.candidates & CONTENT_LENGTH != 0 {
        side.phase = phase::LENGTH;
        side.left = 0;
    } else if side.candidates & TRANSFER_ENCODING != 0 {
        side.phase = phase::ENCODING;
    } else if side.candidates & UPGRADE != 0 {
        side.marks |= mark::UPGRADE;
        side.phase = phase::SKIP;
    }
    NOTHING
}

#[inline(always)]
fn value(side: &mut Side, draft: &mut MessageBuilder, byte: u8) -> Event {
    if side.phase == phase::BLANKS {
        if byte == b' ' || byte == b'\t' {
            return NOTHING;
        }
        side.phase = if draft.begin_value(place(side.candidates)) { phase::VALUE } else { phase::SKIP };
        if side.phase == phase::SKIP {
            return if is_in_value(byte) { NOTHING } else { line_end(side, byte) };
        }
    }
    if byte == CR || byte == LF {
        draft.trim_value(side.blanks);
        return line_end(side, byte);
    }
    if !is_in_value(byte) {
        return MALFORMED;
    }
    side.blanks = if byte == b' ' || byte == b'\t' { side.blanks.wrapping_add(1) } else { 0 };
    draft.push_value(byte);
    NOTHING
}

/// One number; several only if they are equal.
#[inline(always)]
fn length(side: &mut Side, byte: u8) -> Event {
    const MAX: u64 = (u64::MAX - 9) / 10;
    match byte {
        b'0'..=b'9' if side.phase == phase::LENGTH && side.left <= MAX => {
            side.left = side.left * 10 + u64::from(byte - b'0');
            side.at = 1;
        }
        b' ' | b'\t' if side.at == 0 => {}
        b' ' | b'\t' => side.phase = phase::LENGTH_BLANKS,
        CR | LF if side.at > 0 => {
            if side.marks & mark::LENGTH != 0 && side.length != side.left {
                return MALFORMED;
            }
            side.marks |= mark::LENGTH;
            (side.length, side.left) = (side.left, 0);
            return line_end(side, byte);
        }
        _ => return MALFORMED,
    }
    NOTHING
}

/// The last coding of the last such header decides.
#[inline(always)]
fn encoding(side: &mut Side, byte: u8) -> Event {
    const OTHER: u8 = 8;
    match byte {
        CR | LF => {
            side.marks |= mark::ENCODING;
            side.marks = if side.at == 7 { side.marks | mark::CHUNKED } else { side.marks & !mark::CHUNKED };
            return line_end(side, byte);
        }
        b',' => side.at = 0,
        b' ' | b'\t' if side.at == 0 || side.at == 7 => {}
        _ if !is_in_value(byte) => return MALFORMED,
        _ => {
            let expected = match side.at {
                0 => b'c',
                1 => b'h',
                2 => b'u',
                3 => b'n',
                4 => b'k',
                5 => b'e',
                6 => b'd',
                _ => 0,
            };
            side.at = if byte | 0x20 == expected { side.at + 1 } else { OTHER };
        }
    }
    NOTHING
}

#[inline(always)]
fn chunks(side: &mut Side, byte: u8) -> Event {
    match side.phase {
        phase::CHUNK | phase::CHUNK_SIZE | phase::CHUNK_BLANKS | phase::CHUNK_EXTENSION => {
            return chunk_size(side, byte);
        }
        phase::CHUNK_LINE_FEED if byte == LF => {
            side.phase = if side.left == 0 { phase::TRAILER } else { phase::CHUNK_DATA };
        }
        phase::CHUNK_END if byte == CR => side.phase = phase::CHUNK_END_LINE_FEED,
        phase::CHUNK_END_LINE_FEED if byte == LF => (side.phase, side.left) = (phase::CHUNK, 0),
        phase::TRAILER if byte == CR => side.phase = phase::TRAILERS_LINE_FEED,
        phase::TRAILER | phase::TRAILER_SKIP if byte == CR => side.phase = phase::TRAILER_LINE_FEED,
        phase::TRAILER if !is_token(byte) => return MALFORMED,
        phase::TRAILER | phase::TRAILER_SKIP if is_in_value(byte) => side.phase = phase::TRAILER_SKIP,
        phase::TRAILER_LINE_FEED if byte == LF => side.phase = phase::TRAILER,
        phase::TRAILERS_LINE_FEED if byte == LF => side.restart(),
        _ => return MALFORMED,
    }
    NOTHING
}

#[inline(always)]
fn chunk_size(side: &mut Side, byte: u8) -> Event {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => 16,
    };
    if side.phase <= phase::CHUNK_SIZE && digit < 16 {
        if side.left >> 60 != 0 {
            return MALFORMED;
        }
        side.left = side.left << 4 | u64::from(digit);
        side.phase = phase::CHUNK_SIZE;
        return NOTHING;
    }
    match byte {
        _ if side.phase == phase::CHUNK => return MALFORMED,
        CR => side.phase = phase::CHUNK_LINE_FEED,
        LF => return MALFORMED,
        _ if side.phase == phase::CHUNK_EXTENSION => {}
        b';' => side.phase = phase::CHUNK_EXTENSION,
        b' ' | b'\t' => side.phase = phase::CHUNK_BLANKS,
        _ => return MALFORMED,
    }
    NOTHING
}
