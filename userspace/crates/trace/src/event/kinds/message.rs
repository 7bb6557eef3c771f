//! The head, or the trailers, of an HTTP message went through.

use probe_common::record::{
    self, BY_LEN, Head, Kind, METHOD_MAX, NO_GRPC_STATUS, PATH_MAX, VALUE_CUT, VALUE_MAX, VALUES_MAX, ValueHead,
    message as flags,
};
use zerocopy::FromBytes as _;

use crate::event::{
    At, Connection, DecodeError, Message, Running, Start, TaskId, Value, What,
    fields::{self, bit, named, prefix, push, raw_running},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Message as u8];
pub(in crate::event) const LEN_MAX: usize = record::MESSAGE_MAX;

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let (record, tail) = prefix(head, bytes)?;
    let message = message(&record, tail).ok_or(DecodeError::contradiction(head, bytes))?;
    Ok(What::Message(Box::new(message)))
}

/// The message in a record whose fixed part is `record` and whose rest is `tail`; `None` where the lengths
/// in it do not fit, or it says what no record says.
fn message(record: &record::Message, tail: &[u8]) -> Option<Message> {
    let source = named(record.source)?;
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
pub(in crate::event) fn encode(at: At, message: &Message, out: &mut Vec<u8>) {
    let (method, path, cut): (&[u8], &[u8], bool) = match &message.start {
        Start::Request { method, path, cut } => (method, path, *cut),
        Start::Response { .. } | Start::Trailers => (&[], &[], false),
    };
    let method = &method[..method.len().min(METHOD_MAX)];
    let cut = cut || path.len() > PATH_MAX;
    let path = &path[..path.len().min(PATH_MAX)];
    let values = &message.values[..message.values.len().min(VALUES_MAX)];
    let record = record::Message {
        head: fields::head(at, Kind::Message as u8, 0),
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
    push(&record, out);
    out.extend_from_slice(method);
    out.extend_from_slice(path);
    for value in values {
        let bytes = &value.bytes[..value.bytes.len().min(VALUE_MAX)];
        let cut = if value.cut || value.bytes.len() > VALUE_MAX { VALUE_CUT } else { 0 };
        push(&ValueHead { name: (value.name & !VALUE_CUT) | cut, len: bytes.len() as u8 }, out);
        out.extend_from_slice(bytes);
    }
    if let Some(by) = message.by {
        out.extend_from_slice(&raw_running(by).0.to_ne_bytes());
    }
}

fn flags_of(message: &Message, cut: bool) -> u8 {
    bit(message.written, flags::WRITTEN)
        | bit(matches!(message.start, Start::Request { .. }), flags::REQUEST)
        | bit(message.start == Start::Trailers, flags::TRAILERS)
        | bit(cut, flags::PATH_CUT)
        | bit(message.early, flags::EARLY)
        | bit(message.by.is_some(), flags::BY)
        | bit(message.by == Some(Running::Unknown), flags::BY_UNREADABLE)
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    message().prop_map(|message| What::Message(Box::new(message)))
}
