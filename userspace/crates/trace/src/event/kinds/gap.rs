//! Events of one CPU are missing.

use probe_common::record::Head;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::event::{
    At, DecodeError, What,
    fields::{self, exact, push},
};

pub(in crate::event) const KIND: u8 = 64;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize = size_of::<GapRecord>();

const _: () = assert!(size_of::<GapRecord>() == 48);

/// The head's `time` and `seq` are those of [`What::Gap`]'s [`At`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(in crate::event) struct GapRecord {
    pub(in crate::event) head: Head,
    /// The time of the CPU's last event before the gap, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(in crate::event) since: u64,
    /// The number of missing events.
    pub(in crate::event) lost: u64,
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let GapRecord { since, lost, .. } = exact(head, bytes)?;
    Ok(What::Gap { since, lost })
}

pub(in crate::event) fn encode(at: At, &since: &u64, &lost: &u64, out: &mut Vec<u8>) {
    push(&GapRecord { head: fields::head(at, KIND, 0), since, lost }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    proptest::prelude::any::<(u64, u64)>().prop_map(|(since, lost)| What::Gap { since, lost })
}
