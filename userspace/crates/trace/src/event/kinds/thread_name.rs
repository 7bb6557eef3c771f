//! The agent learnt the thread's name.

use probe_common::record::Head;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::event::{
    At, DecodeError, What,
    fields::{self, NAME_LEN, exact, push, thread_name},
};

pub(in crate::event) const KIND: u8 = 65;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize = size_of::<ThreadNameRecord>();

const _: () = assert!(size_of::<ThreadNameRecord>() == 48);

/// The name of the head's thread.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(in crate::event) struct ThreadNameRecord {
    pub(in crate::event) head: Head,
    /// UTF-8, padded with NUL.
    pub(in crate::event) name: [u8; NAME_LEN],
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let ThreadNameRecord { name, .. } = exact(head, bytes)?;
    Ok(What::ThreadName { name: thread_name(&name) })
}

pub(in crate::event) fn encode(at: At, name: &str, out: &mut Vec<u8>) {
    push(&ThreadNameRecord { head: fields::head(at, KIND, 0), name: padded(name) }, out);
}

fn padded(name: &str) -> [u8; NAME_LEN] {
    let name = &name[..name.floor_char_boundary(NAME_LEN)];
    let mut bytes = [0; NAME_LEN];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use proptest::prelude::*;

    let name = prop_oneof![".{0,8}", Just("tokio-rt-worker".into())];
    name.prop_map(|name: String| What::ThreadName { name: thread_name(name.as_bytes()) })
}
