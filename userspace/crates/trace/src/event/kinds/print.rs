//! The target wrote to its standard output or error.

use probe_common::record::{self, Head, Kind, PRINT_MAX};

use crate::event::{
    At, DecodeError, Missing, Print, What,
    fields::{self, named, prefix, push},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Print as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Print>() + PRINT_MAX;

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let (record, tail) = prefix(head, bytes)?;
    print(&record, tail).map(What::Print).ok_or(DecodeError::contradiction(head, bytes))
}

/// Returns what is in a record whose fixed part is `record` and whose rest is `bytes`; `None` where the two do not
/// fit, or it says what no record says.
fn print(record: &record::Print, bytes: &[u8]) -> Option<Print> {
    let to = named(record.descriptor)?;
    let fits = bytes.len() == usize::from(record.len) && bytes.len() <= PRINT_MAX && record.ends_line <= 1;
    let ends_line = record.ends_line == 1;
    let missing = (record.missing > 0).then_some(Missing { bytes: record.missing, ends_line });
    let known = !ends_line || missing.is_some();
    (fits && known).then(|| Print { to, bytes: bytes.to_vec(), missing })
}

/// Appends the record to `out`. Bytes that a record has no room for are cut.
pub(in crate::event) fn encode(at: At, print: &Print, out: &mut Vec<u8>) {
    let bytes = &print.bytes[..print.bytes.len().min(PRINT_MAX)];
    let record = record::Print {
        head: fields::head(at, Kind::Print as u8, 0),
        missing: print.missing.map_or(0, |missing| missing.bytes),
        len: bytes.len() as u16,
        descriptor: print.to as u8,
        ends_line: print.missing.is_some_and(|missing| missing.ends_line).into(),
        zero: 0,
    };
    push(&record, out);
    out.extend_from_slice(bytes);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    print().prop_map(What::Print)
}
