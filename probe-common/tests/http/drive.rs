//! What a program does with the bytes of system calls, without a kernel.

use probe_common::{
    http::{Connection, Direction, Event, Names, Reported, WIDE, is_rest_of_line, step},
    message_builder::MessageBuilder,
    record::{Head, Message, ValueHead, message},
};

pub(crate) use Direction::{Read, Written};

/// The headers whose values are wanted.
pub(crate) const HEADERS: [&str; 3] = ["traceparent", "x-request-id", "b3"];

/// What was reported of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Request { written: bool, method: String, path: Vec<u8>, cut: bool, values: Vec<(u8, Vec<u8>)> },
    Response { written: bool, status: u16, values: Vec<(u8, Vec<u8>)> },
    Changed(Reported),
}

/// A connection, its drafts, and what was reported of it.
pub(crate) struct Driven {
    pub(crate) connection: Connection,
    drafts: [MessageBuilder; 2],
    names: Box<Names>,
    pub(crate) seen: Vec<Seen>,
    /// The most steps that one system call took.
    pub(crate) steps: u32,
}

impl Driven {
    /// A connection that is not seen from its beginning.
    pub(crate) fn attached() -> Self {
        Self {
            connection: Connection::default(),
            drafts: [draft(), draft()],
            names: Box::new(Names::new(HEADERS)),
            seen: Vec::new(),
            steps: 0,
        }
    }

    /// A new connection.
    pub(crate) fn new() -> Self {
        let mut driven = Self::attached();
        assert_eq!(driven.connection.open(), Reported::Nothing);
        driven
    }

    /// One system call.
    pub(crate) fn call(&mut self, direction: Direction, mut bytes: &[u8]) {
        if bytes.is_empty() || !self.connection.is_followed() {
            return;
        }
        let draft = &mut self.drafts[direction as usize];
        self.connection.begin(direction);
        let mut steps = 0;
        while !bytes.is_empty() {
            steps += 1;
            let skipped = self.connection.side(direction).skip(bytes.len() as u64) as usize;
            bytes = &bytes[skipped..];
            if skipped > 0 {
                continue;
            }
            if let Some(wide) = bytes.first_chunk::<WIDE>()
                && is_rest_of_line(self.connection.side(direction), words(wide))
            {
                bytes = &bytes[WIDE..];
                continue;
            }
            let mut next = [0; 8];
            let there = bytes.len().min(8);
            next[..there].copy_from_slice(&bytes[..there]);
            let taken =
                step(self.connection.side(direction), draft, &self.names, u64::from_le_bytes(next), there as u32);
            assert!((1..=there as u32).contains(&taken.taken), "{taken:?} of {there}");
            bytes = &bytes[taken.taken as usize..];
            let reported = match taken.event {
                Event::Nothing => continue,
                Event::Head => self.connection.head(direction, draft),
                Event::Http2 => self.connection.http2(),
                Event::Malformed | Event::Encrypted => self.connection.malformed(direction),
            };
            self.seen.extend(seen(reported, draft));
            if taken.event != Event::Head || !matches!(reported, Reported::Message | Reported::Nothing) {
                return;
            }
        }
        self.steps = self.steps.max(steps);
        self.connection.end(direction);
    }
}

/// System calls of any bytes, and then the same bytes one at a time, must be the same to whoever was there from
/// the beginning: until the connection is lost, after which it matters where calls begin and end. One that was
/// attached to must do no harm.
///
/// A call is a direction, a length of two bytes, and the bytes. `of`: what they come from, for people.
pub(crate) fn in_whole_calls_and_byte_by_byte(mut rest: &[u8], of: &str) {
    let (mut whole, mut cut, mut attached) = (Driven::new(), Driven::new(), Driven::attached());
    while let [written, low, high, after @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (call, next) = after.split_at(len);
        let direction = if written & 1 == 1 { Written } else { Read };
        whole.call(direction, call);
        call.iter().for_each(|byte| cut.call(direction, std::slice::from_ref(byte)));
        attached.call(direction, call);
        rest = next;
    }
    assert_eq!(until_lost(&whole.seen), until_lost(&cut.seen), "{of}");
}

fn words(bytes: &[u8; WIDE]) -> [u64; WIDE / 8] {
    std::array::from_fn(|word| u64::from_le_bytes(std::array::from_fn(|byte| bytes[word * 8 + byte])))
}

fn until_lost(seen: &[Seen]) -> &[Seen] {
    let is_lost = |seen: &Seen| matches!(seen, Seen::Changed(Reported::Lost | Reported::LostUnreported));
    seen.iter().position(is_lost).map_or(seen, |at| &seen[..=at])
}

fn draft() -> MessageBuilder {
    let head = Head { time: 0, seq: 0, sp: 0, tid: 0, cpu: 0, kind: 0, flags: 0 };
    let record = Message {
        head,
        stream: 0,
        substream: 0,
        status: 0,
        source: 0,
        flags: 0,
        method_len: 0,
        path_len: 0,
        values: 0,
        grpc_status: 0,
        zero: 0,
    };
    let mut draft = MessageBuilder::of(record);
    draft.clear();
    draft
}

fn seen(reported: Reported, draft: &MessageBuilder) -> Vec<Seen> {
    match reported {
        Reported::Nothing => Vec::new(),
        Reported::Message => vec![of_draft(draft)],
        Reported::MessageAndLeft => vec![of_draft(draft), Seen::Changed(Reported::Left)],
        reported => vec![Seen::Changed(reported)],
    }
}

fn of_draft(draft: &MessageBuilder) -> Seen {
    let record = draft.record;
    let has = |flag| record.flags & flag != 0;
    let (method, rest) = draft.tail().split_at(usize::from(record.method_len));
    let (path, mut rest) = rest.split_at(usize::from(record.path_len));
    let mut values = Vec::new();
    for _ in 0..record.values {
        let (head, after) = rest.split_at(size_of::<ValueHead>());
        let (value, after) = after.split_at(usize::from(head[1]));
        values.push((head[0], value.to_vec()));
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes too many", rest.len());
    let written = has(message::WRITTEN);
    if has(message::REQUEST) {
        let method = String::from_utf8(method.to_vec()).unwrap();
        Seen::Request { written, method, path: path.to_vec(), cut: has(message::PATH_CUT), values }
    } else {
        assert!(method.is_empty() && path.is_empty());
        Seen::Response { written, status: record.status, values }
    }
}
