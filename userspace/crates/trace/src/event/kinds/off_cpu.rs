//! The thread was off the CPU inside a poll, with the stack at which it was off the CPU or without.

use probe_common::record::{self, Head, Kind, flags};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::event::{
    At, DecodeError, What,
    fields::{self, bit, exact, has, push},
};

pub(in crate::event) const KIND_WITH_STACK: u8 = 70;
pub(in crate::event) const KINDS: &[u8] = &[Kind::OffCpu as u8, KIND_WITH_STACK];
pub(in crate::event) const LEN_MAX: usize = size_of::<WithStack>();

/// A [`record::OffCpu`] with the stack at which the thread was off the CPU.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct WithStack {
    head: Head,
    /// The time at which it was switched out, in nanoseconds of `CLOCK_MONOTONIC`.
    since: u64,
    /// A stack that has a [`What::Stack`]; not 0.
    stack: u64,
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let (in_trap, end_unseen) = (has(head, flags::IN_TRAP), has(head, flags::END_UNSEEN));
    if head.kind == KIND_WITH_STACK {
        let WithStack { since, stack, .. } = exact(head, bytes)?;
        return Ok(What::OffCpu { since, stack, in_trap, end_unseen });
    }
    let record::OffCpu { since, .. } = exact(head, bytes)?;
    Ok(What::OffCpu { since, stack: 0, in_trap, end_unseen })
}

pub(in crate::event) fn encode(
    at: At,
    &since: &u64,
    &stack: &u64,
    &in_trap: &bool,
    &end_unseen: &bool,
    out: &mut Vec<u8>,
) {
    let flags = bit(in_trap, flags::IN_TRAP) | bit(end_unseen, flags::END_UNSEEN);
    match stack {
        0 => push(&record::OffCpu { head: fields::head(at, Kind::OffCpu as u8, flags), since }, out),
        stack => push(&WithStack { head: fields::head(at, KIND_WITH_STACK, flags), since, stack }, out),
    }
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    proptest::prelude::any::<(u64, u64, bool, bool)>().prop_map(|(since, stack, in_trap, end_unseen)| What::OffCpu {
        since,
        stack,
        in_trap,
        end_unseen,
    })
}
