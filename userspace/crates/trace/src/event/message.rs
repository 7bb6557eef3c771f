//! The head of an HTTP message, as an event holds it, and its record.
//!
//! Bytes stay as they came, and are escaped where they are shown.

use probe_common::record::{
    self, BY_LEN, Head, Kind, METHOD_MAX, NO_GRPC_STATUS, PATH_MAX, Source, VALUE_CUT, VALUE_MAX, VALUES_MAX,
    ValueHead, message as flags,
};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{Running, TaskId};

/// The connection that a message went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// Where it was observed.
    pub source: Source,
    /// A descriptor, or an address, as `source` says. Reused after [`super::Change::Closed`].
    pub key: u64,
}

/// The head, or the trailers, of an HTTP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The connection.
    pub connection: Connection,
    /// The HTTP/2 stream on it; 0 for HTTP/1.
    pub substream: u32,
    /// Whether the target wrote the message; otherwise it read it.
    pub written: bool,
    /// Which task the thread runs by tokio's own word; `None` where polls have hooks, which tell that.
    pub by: Option<Running>,
    /// Whether it is a request that began before the response to the one before it had gone through whole.
    pub early: bool,
    /// Its first line.
    pub start: Start,
    /// The gRPC status, if there was one.
    pub grpc_status: Option<u8>,
    /// The values of the allow-listed headers in it, in its order. At most [`VALUES_MAX`].
    pub values: Vec<Value>,
}

/// What a message starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request. The path has no query; `cut`: it was longer.
    Request { method: Vec<u8>, path: Vec<u8>, cut: bool },
    /// A response.
    Response { status: u16 },
    /// Trailers.
    Trailers,
}

/// The value of an allow-listed header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The header: its place in [`crate::facts::Facts::correlation_headers`].
    pub name: u8,
    /// The value; at most [`VALUE_MAX`] bytes.
    pub bytes: Vec<u8>,
    /// Whether it was longer.
    pub cut: bool,
}

/// The message in a record whose fixed part is `record` and whose rest is `tail`; `None` where the lengths
/// in it do not fit, or it says what no record says.
pub(super) fn decode(record: &record::Message, tail: &[u8]) -> Option<Message> {
    let source = Source::from_u8(record.source)?;
    let has = |bit: u8| record.flags & bit != 0;
    let (tail, by) = split_by(record, tail)?;
    let (method, tail) = split(tail, record.method_len, METHOD_MAX)?;
    let (path, mut tail) = split(tail, record.path_len, PATH_MAX)?;
    if usize::from(record.values) > VALUES_MAX {
        return None;
    }
    let mut values = Vec::new();
    for _ in 0..record.values {
        let (value, rest) = decode_value(tail)?;
        values.push(value);
        tail = rest;
    }
    let start = match (has(flags::REQUEST), has(flags::TRAILERS)) {
        (true, false) => Start::Request { method: method.to_vec(), path: path.to_vec(), cut: has(flags::PATH_CUT) },
        (false, true) => Start::Trailers,
        (false, false) => Start::Response { status: record.status },
        (true, true) => return None,
    };
    let is_request = matches!(start, Start::Request { .. });
    let known = is_request || (method.is_empty() && path.is_empty() && !has(flags::PATH_CUT));
    (tail.is_empty() && known).then_some(Message {
        connection: Connection { source, key: record.stream },
        substream: record.substream,
        written: has(flags::WRITTEN),
        by,
        early: has(flags::EARLY),
        start,
        grpc_status: Some(record.grpc_status).filter(|&status| status != NO_GRPC_STATUS),
        values,
    })
}

/// Takes the id of the task that the thread ran off the tail's end, where it is there.
fn split_by<'a>(record: &record::Message, tail: &'a [u8]) -> Option<(&'a [u8], Option<Running>)> {
    if record.flags & flags::BY == 0 {
        return Some((tail, None));
    }
    let (tail, id) = tail.split_at_checked(tail.len().checked_sub(BY_LEN)?)?;
    let by = match u64::from_ne_bytes(id.try_into().ok()?) {
        _ if record.flags & flags::BY_UNREADABLE != 0 => Running::Unknown,
        0 => Running::Nothing,
        id => Running::Task(TaskId(id)),
    };
    Some((tail, Some(by)))
}

fn decode_value(tail: &[u8]) -> Option<(Value, &[u8])> {
    let (head, tail) = ValueHead::read_from_prefix(tail).ok()?;
    let (bytes, rest) = split(tail, head.len, VALUE_MAX)?;
    let value = Value { name: head.name & !VALUE_CUT, bytes: bytes.to_vec(), cut: head.name & VALUE_CUT != 0 };
    Some((value, rest))
}

fn split(bytes: &[u8], len: u8, max: usize) -> Option<(&[u8], &[u8])> {
    let len = usize::from(len);
    if len > max { None } else { bytes.split_at_checked(len) }
}

/// Appends the message's record to `out`: at most [`record::MESSAGE_MAX`] bytes. What a record has no room
/// for is cut.
pub(super) fn encode(message: &Message, head: impl FnOnce(u8) -> Head, out: &mut Vec<u8>) {
    let (method, path, cut): (&[u8], &[u8], bool) = match &message.start {
        Start::Request { method, path, cut } => (method, path, *cut),
        Start::Response { .. } | Start::Trailers => (&[], &[], false),
    };
    let method = &method[..method.len().min(METHOD_MAX)];
    let cut = cut || path.len() > PATH_MAX;
    let path = &path[..path.len().min(PATH_MAX)];
    let values = &message.values[..message.values.len().min(VALUES_MAX)];
    let record = record::Message {
        head: head(Kind::Message as u8),
        stream: message.connection.key,
        substream: message.substream,
        status: if let Start::Response { status } = message.start { status } else { 0 },
        source: message.connection.source as u8,
        flags: flags_of(message, cut),
        method_len: method.len() as u8,
        path_len: path.len() as u8,
        values: values.len() as u8,
        grpc_status: message.grpc_status.unwrap_or(NO_GRPC_STATUS),
        zero: 0,
    };
    out.extend_from_slice(record.as_bytes());
    out.extend_from_slice(method);
    out.extend_from_slice(path);
    for value in values {
        let bytes = &value.bytes[..value.bytes.len().min(VALUE_MAX)];
        let cut = if value.cut || value.bytes.len() > VALUE_MAX { VALUE_CUT } else { 0 };
        let head = ValueHead { name: (value.name & !VALUE_CUT) | cut, len: bytes.len() as u8 };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(bytes);
    }
    if let Some(by) = message.by {
        out.extend_from_slice(&by.raw().0.to_ne_bytes());
    }
}

fn flags_of(message: &Message, cut: bool) -> u8 {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    bit(message.written, flags::WRITTEN)
        | bit(matches!(message.start, Start::Request { .. }), flags::REQUEST)
        | bit(message.start == Start::Trailers, flags::TRAILERS)
        | bit(cut, flags::PATH_CUT)
        | bit(message.early, flags::EARLY)
        | bit(message.by.is_some(), flags::BY)
        | bit(message.by == Some(Running::Unknown), flags::BY_UNREADABLE)
}
