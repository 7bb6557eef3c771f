//! The frames of an await chain, reported once.

use probe_common::{
    chain::FRAME_BITS,
    record::{self, FRAMES_MAX, Head, Kind},
};

use crate::event::{
    At, ChainFrame, DecodeError, What,
    fields::{self, exact, push},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Frames as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Frames>();
const FRAME_MASK: u32 = (1 << FRAME_BITS) - 1;

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::Frames { chain, count, partial, frames, .. } = exact(head, bytes)?;
    let count = usize::try_from(count).ok().and_then(|count| frames.get(..count));
    let words = count.ok_or(DecodeError::contradiction(head, bytes))?;
    let frame = |&word: &u32| ChainFrame {
        frame: word & FRAME_MASK,
        depth: u8::try_from(word >> FRAME_BITS).unwrap_or(u8::MAX),
    };
    Ok(What::Frames { chain, partial: partial == 1, frames: words.iter().map(frame).collect() })
}

/// Frames beyond [`FRAMES_MAX`] have no room.
pub(in crate::event) fn encode(at: At, &chain: &u64, &partial: &bool, frames: &[ChainFrame], out: &mut Vec<u8>) {
    let head = fields::head(at, Kind::Frames as u8, 0);
    let mut words = [0; FRAMES_MAX];
    let word = |frame: &ChainFrame| (frame.frame & FRAME_MASK) | (u32::from(frame.depth) << FRAME_BITS);
    words.iter_mut().zip(frames).for_each(|(to, frame)| *to = word(frame));
    let count = frames.len().min(FRAMES_MAX) as u32;
    push(&record::Frames { head, chain, count, partial: u32::from(partial), frames: words }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use proptest::prelude::*;

    use crate::event::arbitrary::*;

    (any::<u64>(), any::<bool>(), prop::collection::vec(chain_frame(), 0..=FRAMES_MAX))
        .prop_map(|(chain, partial, frames)| What::Frames { chain, partial, frames })
}
