//! The agent proved that the thread is outside of every poll. Such a record is a head alone.

use probe_common::record::Head;

use crate::event::{
    At, DecodeError, What,
    fields::{self, exact, push},
};

pub(in crate::event) const KIND: u8 = 66;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize = size_of::<Head>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    exact(head, bytes).map(|_: Head| What::ThreadAtRest)
}

pub(in crate::event) fn encode(at: At, out: &mut Vec<u8>) {
    push(&fields::head(at, KIND, 0), out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    proptest::strategy::Just(What::ThreadAtRest)
}
