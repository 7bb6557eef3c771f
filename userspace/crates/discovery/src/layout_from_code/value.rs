//! What a register or a place in memory holds while a poll function runs, as far as it is known.

use std::{cell::RefCell, collections::HashMap};

/// A value that was loaded through so many others is not followed further.
const DEPTH_MAX: u8 = 6;
/// More places than this are not told apart in one derivation.
const PLACES_MAX: usize = 1 << 20;
/// Constants that one value may be.
const AMONG_MAX: usize = 4;

/// The origin that an address is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Base {
    /// The future that is polled, or the task's header where the task is looked at.
    Future,
    /// The `Context`, or the `Waker` in it.
    Context,
    /// The stack pointer at the outermost entry.
    Stack,
    /// The content of the place in memory with this number, when the function was entered.
    Loaded(u32),
}

/// The things that a value may depend on of which no more is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Taint(pub(super) u8);

impl Taint {
    /// It may be the `Context`, or lead to it.
    pub(super) const CONTEXT: Self = Self(1);
    /// It depends on what the future holds, or may point into it.
    pub(super) const FUTURE: Self = Self(2);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum CodeValue {
    /// A number.
    Constant(u64),
    /// One of these numbers: so many of them count.
    Among([u64; AMONG_MAX], u8),
    /// So many bytes from a base; of a loaded one: what was loaded, plus that.
    Address(Base, i64),
    /// An entry of a jump table, or the address that it leads to; which one is said by what was loaded from that place.
    Case(u32),
    /// Not known.
    Unknown(Taint),
}

pub(super) const NOTHING: CodeValue = CodeValue::Unknown(Taint(0));

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// Its address.
    pub(super) base: Base,
    /// The distance from there, in bytes.
    pub(super) offset: i64,
    /// Its length in bytes.
    pub(super) size: u8,
}

/// Each place with how many others lead to it, by number; and the number by place.
type KnownPlaces = (Vec<(Place, u8)>, HashMap<Place, u32>);

/// The places that loaded values come from, by number.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: RefCell<KnownPlaces>,
}

impl Places {
    /// Returns the content of the place when the function is entered.
    pub(super) fn load(&self, place: Place) -> CodeValue {
        let depth = self.depth(place.base);
        let mut known = self.known.borrow_mut();
        if let Some(&number) = known.1.get(&place) {
            return CodeValue::Address(Base::Loaded(number), 0);
        }
        let Ok(number) = u32::try_from(known.0.len()) else { return NOTHING };
        if depth >= DEPTH_MAX || known.0.len() >= PLACES_MAX {
            return CodeValue::Unknown(Taint::FUTURE);
        }
        known.0.push((place, depth + 1));
        known.1.insert(place, number);
        CodeValue::Address(Base::Loaded(number), 0)
    }

    /// The place with this number.
    pub(super) fn get(&self, number: u32) -> Place {
        self.known.borrow().0[number as usize].0
    }

    fn depth(&self, base: Base) -> u8 {
        match base {
            Base::Loaded(number) => self.known.borrow().0[number as usize].1,
            _ => 0,
        }
    }

    /// The base from which all was loaded that the value is made of.
    pub(super) fn root(&self, mut base: Base) -> Base {
        while let Base::Loaded(number) = base {
            base = self.get(number).base;
        }
        base
    }

    /// Returns the things that a value depends on which is no longer followed.
    pub(super) fn taint(&self, value: CodeValue) -> Taint {
        match value {
            CodeValue::Constant(_) | CodeValue::Among(..) => Taint(0),
            CodeValue::Unknown(taint) => taint,
            CodeValue::Case(number) => self.taint_of(Base::Loaded(number)),
            CodeValue::Address(base, _) => self.taint_of(base),
        }
    }

    fn taint_of(&self, base: Base) -> Taint {
        match self.root(base) {
            Base::Future => Taint::FUTURE,
            Base::Context => Taint::CONTEXT,
            Base::Stack | Base::Loaded(_) => Taint(0),
        }
    }

    /// Returns all that is known of a value that is one or the other.
    pub(super) fn join(&self, one: CodeValue, other: CodeValue) -> CodeValue {
        if one == other {
            return one;
        }
        among(one.numbers().iter().flatten().chain(other.numbers().iter().flatten()).copied())
            .filter(|_| one.numbers().is_some() && other.numbers().is_some())
            .unwrap_or_else(|| CodeValue::Unknown(self.taint(one).and(self.taint(other))))
    }
}

/// One of these numbers, if they are few.
pub(super) fn among(numbers: impl Iterator<Item = u64>) -> Option<CodeValue> {
    let mut all: Vec<u64> = numbers.collect();
    all.sort_unstable();
    all.dedup();
    match all.as_slice() {
        [] => None,
        [only] => Some(CodeValue::Constant(*only)),
        several if several.len() <= AMONG_MAX => {
            let mut numbers = [0; AMONG_MAX];
            numbers[..several.len()].copy_from_slice(several);
            Some(CodeValue::Among(numbers, several.len() as u8))
        }
        _ => None,
    }
}

impl CodeValue {
    /// The numbers that it may be, if it is a number.
    pub(super) fn numbers(self) -> Option<Vec<u64>> {
        match self {
            Self::Constant(number) => Some(vec![number]),
            Self::Among(numbers, count) => Some(numbers[..usize::from(count)].to_vec()),
            _ => None,
        }
    }

    /// The value after arithmetic on its numbers.
    pub(super) fn each(self, change: impl Fn(u64) -> u64) -> Option<Self> {
        among(self.numbers()?.into_iter().map(change))
    }

    /// So much more.
    pub(super) fn plus(self, by: i64) -> Option<Self> {
        match self {
            Self::Address(base, offset) => Some(Self::Address(base, offset.wrapping_add(by))),
            Self::Case(_) => Some(self),
            _ => self.each(|number| number.wrapping_add_signed(by)),
        }
    }
}

/// The low bytes of a number.
pub(super) const fn masked(number: u64, bytes: u8) -> u64 {
    if bytes >= 8 { number } else { number & ((1 << (8 * bytes)) - 1) }
}

/// A number of so many bytes, its sign extended.
pub(super) const fn signed(number: u64, bytes: u8) -> i64 {
    if bytes >= 8 || bytes == 0 {
        return number as i64;
    }
    let unused = 64 - 8 * bytes as u32;
    ((number << unused) as i64) >> unused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_several_ways_are_kept_as_long_as_they_are_few() {
        let places = Places::default();
        let mut value = CodeValue::Constant(1);
        for number in 2..=4 {
            value = places.join(value, CodeValue::Constant(number));
            assert_eq!(value.numbers(), Some((1..=number).collect()));
        }
        assert_eq!(places.join(value, CodeValue::Constant(5)), NOTHING);
        assert_eq!(value.each(|number| number / 4).and_then(CodeValue::numbers), Some(vec![0, 1]));
    }

    #[test]
    fn a_value_that_may_be_the_context_stays_suspect() {
        let places = Places::default();
        let either = places.join(CodeValue::Address(Base::Context, 0), CodeValue::Constant(0));
        assert_eq!(either, CodeValue::Unknown(Taint::CONTEXT));
        let loaded = places.load(Place { base: Base::Future, offset: 8, size: 8 });
        assert_eq!(places.join(loaded, either), CodeValue::Unknown(Taint::CONTEXT.and(Taint::FUTURE)));
    }
}
