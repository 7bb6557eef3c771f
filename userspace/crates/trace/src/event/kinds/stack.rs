//! A stack, reported once.

use probe_common::record::Head;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::event::{
    At, DecodeError, Ended, What,
    fields::{self, named, push},
    sample::FRAMES_MAX,
};

pub(in crate::event) const KIND: u8 = 68;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize = size_of::<StackHead>() + FRAMES_MAX * 8;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct StackHead {
    head: Head,
    stack: u64,
    ended: u32,
    count: u32,
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    stack(bytes).ok_or(DecodeError::contradiction(head, bytes))
}

fn stack(bytes: &[u8]) -> Option<What> {
    let (StackHead { stack, ended, count, .. }, rest) = StackHead::read_from_prefix(bytes).ok()?;
    let count = usize::try_from(count).ok().filter(|&count| count <= FRAMES_MAX && rest.len() == count * 8)?;
    let words = rest.chunks_exact(8).take(count);
    let frames = words.map(|word| word.try_into().map_or(0, u64::from_le_bytes)).collect();
    Some(What::Stack { stack, ended: named(ended)?, frames })
}

/// Frames beyond [`FRAMES_MAX`] have no room.
pub(in crate::event) fn encode(at: At, &stack: &u64, ended: &Ended, frames: &[u64], out: &mut Vec<u8>) {
    let frames = &frames[..frames.len().min(FRAMES_MAX)];
    let (head, count) = (fields::head(at, KIND, 0), frames.len() as u32);
    push(&StackHead { head, stack, ended: *ended as u32, count }, out);
    frames.iter().for_each(|frame| out.extend_from_slice(&frame.to_le_bytes()));
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use proptest::prelude::*;

    (any::<u64>(), prop::sample::select(&Ended::ALL[..]), prop::collection::vec(any::<u64>(), 0..=9))
        .prop_map(|(stack, ended, frames)| What::Stack { stack, ended, frames })
}
