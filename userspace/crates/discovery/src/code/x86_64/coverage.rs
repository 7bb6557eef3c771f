//! Which bytes of a file's code were decoded, and where instructions start among them.

use iced_x86::{Decoder, DecoderOptions};

use crate::addr::ElfAddr;

/// The code before a case of a jump table that is decoded on trial is no longer than this.
const TRIAL_MAX: u64 = 1 << 14;

/// The state of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It was not decoded.
    None,
    /// An instruction starts there.
    First,
    /// It lies within an instruction.
    Inside,
}

/// Two bits for each byte of code.
pub(super) struct DecodedBytes<'data>(Vec<Region<'data>>);

struct Region<'data> {
    start: u64,
    bytes: &'data [u8],
    first: Vec<u64>,
    covered: Vec<u64>,
}

impl<'data> DecodedBytes<'data> {
    pub(super) fn new(code: impl Iterator<Item = (ElfAddr, &'data [u8])>) -> Self {
        let regions = code.map(|(start, bytes)| {
            let words = bytes.len().div_ceil(64);
            Region { start: start.0, bytes, first: vec![0; words], covered: vec![0; words] }
        });
        Self(regions.collect())
    }

    fn at(&self, address: u64) -> Option<(&Region<'data>, usize)> {
        self.0.iter().find_map(|region| Some((region, region.place(address)?)))
    }

    /// `None` where no code is.
    pub(super) fn mark(&self, address: u64) -> Option<Mark> {
        let (region, place) = self.at(address)?;
        Some(match (bit(&region.first, place), bit(&region.covered, place)) {
            (true, _) => Mark::First,
            (false, true) => Mark::Inside,
            (false, false) => Mark::None,
        })
    }

    /// The code from there on.
    pub(super) fn bytes(&self, address: u64) -> Option<&'data [u8]> {
        let (region, place) = self.at(address)?;
        region.bytes.get(place..)
    }

    /// The code between.
    pub(super) fn between(&self, start: u64, end: u64) -> &'data [u8] {
        self.bytes(start).and_then(|bytes| bytes.get(..usize::try_from(end - start).ok()?)).unwrap_or_default()
    }

    /// Notes an instruction; `false`, and nothing noted, where one of its bytes belongs to another.
    pub(super) fn take(&mut self, address: u64, len: usize) -> bool {
        let Some((region, place)) = self.0.iter_mut().find_map(|region| {
            let place = region.place(address)?;
            Some((region, place))
        }) else {
            return false;
        };
        let bytes = place..place.saturating_add(len);
        if bytes.end > region.bytes.len() || bytes.clone().any(|place| bit(&region.covered, place)) {
            return false;
        }
        set(&mut region.first, place);
        bytes.for_each(|place| set(&mut region.covered, place));
        true
    }

    /// Returns `true` if decoding in order from the code that ends before `to`, at `from` or behind, arrives there.
    pub(super) fn leads_to(&self, from: u64, to: u64) -> bool {
        let Some((region, place)) = self.at(to) else { return false };
        let Some(first) = region.place(from.max(to.saturating_sub(TRIAL_MAX))) else { return false };
        let Some(before) = (first..place).rev().find(|&place| bit(&region.covered, place)) else { return false };
        let at = region.start + before as u64 + 1;
        let mut decoder = Decoder::with_ip(64, &region.bytes[before + 1..place], at, DecoderOptions::NONE);
        // An instruction that ends behind is one that its last bytes are missing of.
        decoder.iter().all(|instruction| !instruction.is_invalid())
    }

    /// The stretches of code without a gap, in order: first byte, and the one behind.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().flat_map(|region| {
            let mut from = 0;
            std::iter::from_fn(move || {
                let start = next(&region.covered, from, region.bytes.len(), true)?;
                let end = next(&region.covered, start, region.bytes.len(), false).unwrap_or(region.bytes.len());
                from = end;
                Some((region.start + start as u64, region.start + end as u64))
            })
        })
    }
}

impl Region<'_> {
    fn place(&self, address: u64) -> Option<usize> {
        let place = usize::try_from(address.checked_sub(self.start)?).ok()?;
        (place < self.bytes.len()).then_some(place)
    }
}

fn bit(bits: &[u64], place: usize) -> bool {
    bits.get(place / 64).is_some_and(|word| word & 1 << (place % 64) != 0)
}

fn set(bits: &mut [u64], place: usize) {
    if let Some(word) = bits.get_mut(place / 64) {
        *word |= 1 << (place % 64);
    }
}

/// The first place from `from` on whose bit is so.
fn next(bits: &[u64], from: usize, len: usize, wanted: bool) -> Option<usize> {
    let mut place = from;
    while place < len {
        let word = bits.get(place / 64).copied().unwrap_or(0);
        let word = (if wanted { word } else { !word }) >> (place % 64);
        if word != 0 {
            return Some(place + word.trailing_zeros() as usize).filter(|&place| place < len);
        }
        place = (place / 64 + 1) * 64;
    }
    None
}
