//! `raw::poll` returns, in a build where the transition itself cannot be seen.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, DecodeError, What,
    fields::{self, exact, push},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::PollExit as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::PollExit>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    exact(head, bytes).map(|_: record::PollExit| What::PollExit)
}

pub(in crate::event) fn encode(at: At, out: &mut Vec<u8>) {
    push(&record::PollExit { head: fields::head(at, Kind::PollExit as u8, 0) }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    proptest::strategy::Just(What::PollExit)
}
