//! A connection changed.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, Change, Connection, DecodeError, What,
    fields::{self, exact, named, push},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Stream as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Stream>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::Stream { stream: key, source, change, .. } = exact(head, bytes)?;
    let (source, change) = named(source).zip(named(change)).ok_or(DecodeError::contradiction(head, bytes))?;
    Ok(What::Stream { connection: Connection { source, key }, change })
}

pub(in crate::event) fn encode(at: At, connection: &Connection, change: &Change, out: &mut Vec<u8>) {
    let head = fields::head(at, Kind::Stream as u8, 0);
    let (stream, source) = (connection.key, connection.source as u8);
    push(&record::Stream { head, stream, source, change: *change as u8, zero: [0; 6] }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (connection(), change()).prop_map(|(connection, change)| What::Stream { connection, change })
}
