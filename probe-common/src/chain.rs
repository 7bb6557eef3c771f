//! The layouts of futures, as the programs walk them: flat tables of plain numbers.
//!
//! A layout has variants, a variant edges; both by the place of the first and their number. All offsets are in
//! bytes.

/// The value for none, in [`Variant::frame`] and [`Edge::unless`].
pub const NONE: u32 = u32::MAX;
/// The number of variants that are looked at of a layout that is not [`Layout::direct`].
pub const VARIANTS_MAX: u32 = 8;
/// The bits of a frame's word that are its number; its depth is in the rest.
pub const FRAME_BITS: u32 = 24;
/// The start value of a chain's hash.
pub const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;

/// One type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// The discriminant's place.
    pub discriminant: u32,
    /// Its length: 1, 2, 4 or 8; 0 if there is none.
    pub size: u32,
    /// The place of the first variant.
    pub first: u32,
    /// Their number.
    pub count: u32,
    /// 1 if the discriminant is the variant's place among them.
    pub direct: u32,
}

/// One variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Variant {
    /// The discriminant's value.
    pub value: u64,
    /// 1 if any value fits.
    pub any: u32,
    /// The frame's number, or [`NONE`].
    pub frame: u32,
    /// The place of the first edge.
    pub first: u32,
    /// Their number.
    pub count: u32,
}

/// A way from one value to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Edge {
    /// The start.
    pub offset: u32,
    /// A [`Step`].
    pub step: u32,
    /// The bytes to add behind a pointer; or the place of the pointer to the vtable.
    pub add: u32,
    /// The other's layout.
    pub to: u32,
    /// The place of a pointer to bits that say whether the branch is off, or [`NONE`].
    pub unless: u32,
    /// The one of these bits.
    pub bit: u32,
}

/// The way in which one value holds another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// It is a part.
    Inside = 0,
    /// By a pointer.
    Pointer = 1,
    /// By a pointer, and one to its vtable.
    Boxed = 2,
    /// In a way that the programs do not follow.
    NotFollowed = 3,
}

const _: () = assert!(size_of::<Layout>() == 20 && size_of::<Variant>() == 24 && size_of::<Edge>() == 24);

/// The hash of a chain with one more frame's word.
#[inline(always)]
#[must_use]
pub const fn hash(hash: u64, word: u32) -> u64 {
    let mixed = (hash ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}
