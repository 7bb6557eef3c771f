//! The sampling event fired.

use probe_common::record::{Head, flags};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::event::{
    At, DecodeError, Running, What,
    fields::{self, bit, has, push, raw_running, running},
};

pub(in crate::event) const KIND: u8 = 67;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize = size_of::<SampleRecord>();

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct SampleRecord {
    head: Head,
    id: u64,
    stack: u64,
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record = SampleRecord::read_from_bytes(bytes).map_err(|_| DecodeError::contradiction(head, bytes))?;
    let SampleRecord { id, stack, .. } = record;
    Ok(What::Sample { running: running(id, head), stack, in_kernel: has(head, flags::IN_KERNEL) })
}

pub(in crate::event) fn encode(at: At, running: &Running, &stack: &u64, &in_kernel: &bool, out: &mut Vec<u8>) {
    let (id, flag) = raw_running(*running);
    let head = fields::head(at, KIND, flag | bit(in_kernel, flags::IN_KERNEL));
    push(&SampleRecord { head, id, stack }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (running(), proptest::prelude::any::<(u64, bool)>()).prop_map(|(running, (stack, in_kernel))| What::Sample {
        running,
        stack,
        in_kernel,
    })
}
