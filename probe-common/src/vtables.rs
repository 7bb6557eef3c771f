//! Task vtables by their addresses: pairs of words, of which a number made of the address chooses one, so that the
//! programs look at one pair, without a call. What finds no room there is in a map besides.

/// As many as [`place`] says.
pub const PAIRS: usize = 1 << BITS;
const BITS: u32 = 12;
/// Addresses of user space have no more bits.
/// <https://github.com/torvalds/linux/blob/v6.12/Documentation/arch/x86/x86_64/mm.rst>
const ADDRESS_BITS: u32 = 48;

/// Two places for vtables; 0 where there is none.
pub type Pair = [u64; 2];

/// The pair that a vtable is in: below [`PAIRS`].
#[inline(always)]
#[must_use]
pub const fn place(vtable: u64) -> u32 {
    // https://en.wikipedia.org/wiki/Hash_function#Fibonacci_hashing
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    (vtable.wrapping_mul(GOLDEN) >> (u64::BITS - BITS)) as u32
}

/// The word of a vtable and of where its tasks' id is, in bytes from the header; `None`: they do not fit.
fn pack(vtable: u64, id_offset: u32) -> Option<u64> {
    let fits = vtable != 0 && vtable >> ADDRESS_BITS == 0 && id_offset <= u32::from(u16::MAX);
    fits.then_some(vtable | u64::from(id_offset) << ADDRESS_BITS)
}

/// Returns the place of the id of a task with this vtable, if the pair has it.
#[inline(always)]
#[must_use]
pub const fn id_offset(pair: Pair, vtable: u64) -> Option<u32> {
    const ADDRESS: u64 = (1 << ADDRESS_BITS) - 1;
    // No vtable is 0, and an empty place must not look like one.
    if vtable == 0 {
        None
    } else if pair[0] & ADDRESS == vtable {
        Some((pair[0] >> ADDRESS_BITS) as u32)
    } else if pair[1] & ADDRESS == vtable {
        Some((pair[1] >> ADDRESS_BITS) as u32)
    } else {
        None
    }
}

/// Puts it into the pair; whether there was room.
pub fn put(pair: &mut Pair, vtable: u64, id_offset: u32) -> bool {
    let Some(word) = pack(vtable, id_offset) else { return false };
    let free = pair.iter_mut().find(|place| **place == 0);
    free.map(|place| *place = word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_found_and_nothing_else() {
        let mut pair = [0; 2];
        assert!(put(&mut pair, 0x5555_5540_0010, 40));
        assert!(put(&mut pair, 0x7fff_ffff_fff8, 0xffff));
        assert!(!put(&mut pair, 0x1000, 40), "a third one");
        assert_eq!(id_offset(pair, 0x5555_5540_0010), Some(40));
        assert_eq!(id_offset(pair, 0x7fff_ffff_fff8), Some(0xffff));
        for other in [0, 0x1000, 0x5555_5540_0018, 40 << 48 | 0x5555_5540_0010, u64::MAX] {
            assert_eq!(id_offset(pair, other), None, "{other:#x}");
        }
        assert_eq!(id_offset([0; 2], 0), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (vtable, id_offset) in [(0, 40), (1 << 48, 40), (0x1000, 0x1_0000)] {
            assert!(!put(&mut [0; 2], vtable, id_offset), "{vtable:#x} {id_offset}");
        }
    }

    #[test]
    fn places_are_inside() {
        for vtable in (0..1 << 20).map(|n: u64| 0x5555_5555_0000 + n * 8) {
            assert!((place(vtable) as usize) < PAIRS);
        }
    }
}
