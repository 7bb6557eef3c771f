//! A panic starts to unwind on the thread.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, DecodeError, What,
    fields::{self, exact, push},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Panic as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Panic>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    exact(head, bytes).map(|_: record::Panic| What::Panic)
}

pub(in crate::event) fn encode(at: At, out: &mut Vec<u8>) {
    push(&record::Panic { head: fields::head(at, Kind::Panic as u8, 0) }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    proptest::strategy::Just(What::Panic)
}
