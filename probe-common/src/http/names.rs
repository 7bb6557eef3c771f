//! Names of headers, as tables that are stepped through byte by byte.

/// The most headers whose values are recorded.
pub const NAMES_MAX: usize = 16;
/// The longest name of such a header, in bytes.
pub const NAME_MAX: usize = 32;
/// A power of two, so that the verifier sees that a masked place is inside. Whoever finds no name left goes no
/// further, so no place is larger.
const PLACES: usize = 64;
const _: () = assert!(NAME_MAX + 4 <= PLACES);

/// The set of names that may still be meant, by what was read of one: a bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Names {
    /// By place in the name and byte: those that have this byte there. Behind [`NAME_MAX`], none.
    by_byte: [[u32; 256]; PLACES],
    /// By length: those that are so long.
    by_length: [u32; 64],
}

/// The bits of the names that say what follows a head. Bits below [`NAMES_MAX`] are those of the list.
pub(super) const UPGRADE: u32 = 1 << 29;
pub(super) const CONTENT_LENGTH: u32 = 1 << 30;
pub(super) const TRANSFER_ENCODING: u32 = 1 << 31;

impl Names {
    /// The tables for these names, of which the first 16 count, and not those longer than 32 bytes or with bytes that
    /// no name has.
    #[must_use]
    pub fn new<'a>(list: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = Self { by_byte: [[0; 256]; PLACES], by_length: [0; 64] };
        names.add("upgrade", UPGRADE);
        names.add("content-length", CONTENT_LENGTH);
        names.add("transfer-encoding", TRANSFER_ENCODING);
        list.into_iter().take(NAMES_MAX).enumerate().for_each(|(place, name)| names.add(name, 1 << place));
        names
    }

    fn add(&mut self, name: &str, bit: u32) {
        // The tables say of a byte that it may stand in a name.
        if !name.bytes().all(is_token) {
            return;
        }
        let of_length = self.by_length.get_mut(name.len()).filter(|_| name.len() <= NAME_MAX);
        let Some(of_length) = of_length else { return };
        *of_length |= bit;
        for (by_byte, byte) in self.by_byte.iter_mut().zip(name.bytes()) {
            for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                if let Some(set) = by_byte.get_mut(usize::from(byte)) {
                    *set |= bit;
                }
            }
        }
    }

    /// Those that have this byte there.
    #[inline(always)]
    pub(super) fn having(&self, place: u8, byte: u8) -> u32 {
        self.by_byte[usize::from(place) & (PLACES - 1)][usize::from(byte)]
    }

    /// Those that are so long.
    #[inline(always)]
    pub(super) fn of_length(&self, length: u8) -> u32 {
        self.by_length[usize::from(length) & 63]
    }
}

/// The place in the list of the one name in the set.
#[inline(always)]
pub(super) fn place(mut set: u32) -> u8 {
    let mut place = 0;
    if set & 0xff == 0 {
        (place, set) = (8, set >> 8);
    }
    if set & 0xf == 0 {
        (place, set) = (place + 4, set >> 4);
    }
    if set & 3 == 0 {
        (place, set) = (place + 2, set >> 2);
    }
    if set & 1 == 0 { place + 1 } else { place }
}

/// Returns `true` if a byte may stand in a method or in a header's name.
#[inline(always)]
pub(super) fn is_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.')
        || matches!(byte, b'^' | b'_' | b'`' | b'|' | b'~')
}
