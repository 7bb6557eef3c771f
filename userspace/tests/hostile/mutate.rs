//! Random changes to a file, the same ones in every run.

/// Values at which lengths, offsets and counts go wrong.
const EDGES: [u64; 10] =
    [0, 1, 7, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];
const CHANGES_MAX: u64 = 8;
/// How much is moved or cleared at once, in bytes.
const STRETCH_MAX: u64 = 64;

/// Marsaglia's xorshift.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// `seed` may be any number.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Changes the bytes in a few places.
    pub(crate) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.next() % CHANGES_MAX {
            self.change(bytes);
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        let stretch = (1 + self.next() % STRETCH_MAX) as usize;
        let end = bytes.len().min(at + stretch);
        match self.next() % 16 {
            0..=4 => bytes[at] ^= 1 << (self.next() % 8),
            5..=6 => bytes[at] = self.next() as u8,
            7..=10 => self.put_word(bytes, at),
            11..=12 => {
                let from = self.below(bytes.len() - (end - at) + 1);
                bytes.copy_within(from..from + (end - at), at);
            }
            13 => bytes[at..end].fill(0),
            14 => {
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            _ => bytes.truncate(at),
        }
    }

    /// An edge, or a number near one that stands there, at a place where words stand.
    fn put_word(&mut self, bytes: &mut [u8], at: usize) {
        let len = [2, 4, 8][self.below(3)];
        let at = at - at % len;
        let Some(place) = bytes.get_mut(at..at + len) else { return };
        let mut word = [0; 8];
        word[..len].copy_from_slice(place);
        let edge = EDGES[self.below(EDGES.len())];
        let word = if self.next().is_multiple_of(2) { edge } else { u64::from_le_bytes(word).wrapping_add(edge) };
        place.copy_from_slice(&word.to_le_bytes()[..len]);
    }
}
