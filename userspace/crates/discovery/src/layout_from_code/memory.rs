//! Registers and memory at one instruction of a poll function.

use std::collections::BTreeMap;

use iced_x86::Register;

use crate::code::x86_64::CALLER_SAVED;

use super::value::{Base, CodeValue, NOTHING, Place, Places, Taint, masked};

/// More places are not tracked in one state.
const TRACKED_MAX: usize = 256;
/// Nothing can be overwritten by a store that is longer.
const STORE_MAX: i64 = 64;

/// The things that are taken for granted about memory when the function is entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Assumed(Vec<(Place, Fact)>);

/// One such thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The place holds this number.
    Is(u64),
    /// It holds none of these.
    Not(Vec<u64>),
}

impl Assumed {
    pub(super) fn with(&self, place: Place, fact: Fact) -> Self {
        let mut facts = self.0.clone();
        facts.push((place, fact));
        Self(facts)
    }

    pub(super) fn get(&self, place: Place) -> Option<&Fact> {
        self.0.iter().rev().find(|(known, _)| *known == place).map(|(_, fact)| fact)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The comparison that flags are of. Lengths are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlagSource {
    /// Of these two.
    Compared(CodeValue, CodeValue, u8),
    /// Of the bits that both have.
    Tested(CodeValue, CodeValue, u8),
    /// Of a result with 0, of which no more than that is known.
    Result(CodeValue, u8),
    /// Not known.
    Unknown(Taint),
}

/// The values known at one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MachineState {
    registers: [(CodeValue, u8); 16],
    vectors: Taint,
    /// On the stack, by place against the stack pointer at the outermost entry: length and value.
    slots: BTreeMap<i64, (u8, CodeValue)>,
    /// Elsewhere: what was stored since the function was entered.
    stored: BTreeMap<(Base, i64), (u8, CodeValue)>,
    /// Functions that were called may have written to the stack from here on.
    escaped: i64,
    escaped_taint: Taint,
    /// From these places on, memory may hold something else than when the function was entered.
    changed: BTreeMap<Base, i64>,
    pub(super) flags: FlagSource,
    /// Nothing was stored to the future.
    pub(super) quiet: bool,
}

impl MachineState {
    /// At the entry of a function with these arguments.
    pub(super) fn at_entry(arguments: &[(Register, CodeValue)]) -> Self {
        let mut state = Self {
            registers: [(NOTHING, 8); 16],
            vectors: Taint::default(),
            slots: BTreeMap::new(),
            stored: BTreeMap::new(),
            escaped: i64::MAX,
            escaped_taint: Taint::default(),
            changed: BTreeMap::new(),
            flags: FlagSource::Unknown(Taint::default()),
            quiet: true,
        };
        state.set(Register::RSP, CodeValue::Address(Base::Stack, 0));
        arguments.iter().for_each(|&(register, value)| state.set(register, value));
        state
    }

    /// At the entry of a function that is called here with the stack as it is.
    pub(super) fn called(&self) -> Self {
        let mut state = self.clone();
        if let Some(sp) = self.stack_pointer() {
            state.set(Register::RSP, CodeValue::Address(Base::Stack, sp.wrapping_sub(8)));
        }
        state.flags = FlagSource::Unknown(Taint::default());
        state
    }

    pub(super) fn stack_pointer(&self) -> Option<i64> {
        match self.registers[4].0 {
            CodeValue::Address(Base::Stack, offset) => Some(offset),
            _ => None,
        }
    }

    /// Sets the whole register that this one is a part of; a part of two bytes or one leaves the rest unknown.
    pub(super) fn set(&mut self, register: Register, value: CodeValue) {
        let full = register.full_register();
        if !full.is_gpr64() || is_high(register) {
            return;
        }
        let known = if register.size() >= 4 { 8 } else { register.size() as u8 };
        self.registers[full.number() & 15] = (value, known);
    }

    /// Forgets a register, but for what it depends on.
    pub(super) fn forget(&mut self, register: Register, taint: Taint) {
        let full = register.full_register();
        if full.is_gpr64() {
            self.registers[full.number() & 15] = (CodeValue::Unknown(taint), 8);
        } else if register.is_vector_register() {
            self.vectors = self.vectors.and(taint);
        }
    }

    pub(super) fn taint_of_vectors(&self) -> Taint {
        self.vectors
    }

    /// The value and how many of its low bytes count.
    pub(super) fn whole(&self, register: Register) -> (CodeValue, u8) {
        let full = register.full_register();
        if full.is_gpr64() { self.registers[full.number() & 15] } else { (NOTHING, 8) }
    }

    /// After a call that these arguments were passed to.
    pub(super) fn after_call(&mut self, places: &Places, arguments: &[CodeValue], kept: &[Place]) {
        let mut taint = Taint::default();
        for &argument in arguments {
            let of = places.taint(argument);
            taint = taint.and(Taint(of.0 & Taint::FUTURE.0));
            match argument {
                CodeValue::Address(Base::Stack, offset) => self.escaped = self.escaped.min(offset),
                CodeValue::Address(base, offset) if of.has(Taint::FUTURE) => self.change(base, offset, kept),
                _ => {}
            }
        }
        self.escaped_taint = self.escaped_taint.and(taint);
        self.forget_escaped();
        if let Some(sp) = self.stack_pointer() {
            self.slots = self.slots.split_off(&sp);
        }
        for register in CALLER_SAVED {
            let is_result = matches!(register, Register::RAX | Register::RDX);
            self.forget(register, if is_result { taint } else { Taint::default() });
        }
        self.vectors = self.vectors.and(taint);
        self.flags = FlagSource::Unknown(taint);
    }

    fn forget_escaped(&mut self) {
        if self.escaped < i64::MAX {
            drop(self.slots.split_off(&self.escaped));
        }
    }

    /// Memory from there on may hold anything, but for these places.
    pub(super) fn change(&mut self, base: Base, from: i64, kept: &[Place]) {
        let least = self.changed.entry(base).or_insert(i64::MAX);
        *least = from.min(*least);
        let is_kept = |at: i64| kept.iter().any(|place| place.base == base && place.offset == at);
        self.stored.retain(|&(of, at), _| of != base || at < from || is_kept(at));
    }

    /// Returns `true` if the place may no longer hold what it did.
    fn is_changed(&self, places: &Places, place: Place) -> bool {
        let mut place = place;
        loop {
            let end = place.offset.saturating_add(place.size.into());
            if self.changed.get(&place.base).is_some_and(|&from| from < end) {
                return true;
            }
            match place.base {
                Base::Loaded(number) => place = places.get(number),
                _ => return false,
            }
        }
    }

    /// Returns the content of memory there.
    pub(super) fn load(&self, places: &Places, assumed: &Assumed, address: CodeValue, size: u8) -> CodeValue {
        match address {
            CodeValue::Address(Base::Stack, offset) => {
                let beyond = if offset >= self.escaped { self.escaped_taint } else { Taint::default() };
                let slots = self.slots.range(offset.saturating_sub(STORE_MAX)..offset.saturating_add(size.into()));
                let near = slots.map(|(&at, &(len, value))| (at, len, value));
                part(places, near, offset, size).unwrap_or(CodeValue::Unknown(beyond))
            }
            CodeValue::Address(base, offset) => {
                let (from, to) = (offset.saturating_sub(STORE_MAX), offset.saturating_add(size.into()));
                let stored = self.stored.range((base, from)..(base, to));
                let near = stored.map(|(&(_, at), &(len, value))| (at, len, value));
                if let Some(value) = part(places, near, offset, size) {
                    return value;
                }
                let place = Place { base, offset, size };
                if self.is_changed(places, place) {
                    return CodeValue::Unknown(Taint::FUTURE);
                }
                initial(places, assumed, place)
            }
            CodeValue::Constant(_) | CodeValue::Among(..) => NOTHING,
            CodeValue::Case(_) | CodeValue::Unknown(_) => CodeValue::Unknown(places.taint(address)),
        }
    }

    /// Stores; where the address is not exact, somewhere from there on.
    pub(super) fn store(
        &mut self,
        places: &Places,
        (address, exact): (CodeValue, bool),
        size: usize,
        value: CodeValue,
    ) {
        if let CodeValue::Address(Base::Stack, offset) = value {
            self.escaped = self.escaped.min(offset);
        }
        let size = i64::try_from(size).unwrap_or(STORE_MAX);
        match address {
            CodeValue::Address(Base::Stack, offset) if exact && size <= STORE_MAX => {
                let end = offset.saturating_add(size);
                let over = overwritten(self.slots.range(offset.saturating_sub(STORE_MAX)..end), offset);
                self.slots.retain(|at, _| !over.contains(at));
                if self.slots.len() < TRACKED_MAX {
                    self.slots.insert(offset, (size as u8, value));
                }
            }
            CodeValue::Address(Base::Stack, offset) => {
                let taint = places.taint(value);
                self.escaped_taint = self.escaped_taint.and(taint);
                self.escaped = self.escaped.min(offset);
                self.forget_escaped();
            }
            CodeValue::Address(base, offset) => {
                self.quiet &= places.root(base) != Base::Future;
                if !exact || size > STORE_MAX || self.stored.len() >= TRACKED_MAX {
                    self.change(base, offset, &[]);
                    return;
                }
                let range = (base, offset.saturating_sub(STORE_MAX))..(base, offset.saturating_add(size));
                let near = self.stored.range(range).map(|(&(_, at), stored)| (at, *stored));
                let over: Vec<i64> =
                    near.filter(|&(at, (len, _))| at.saturating_add(len.into()) > offset).map(|(at, _)| at).collect();
                for at in over {
                    self.stored.remove(&(base, at));
                    // Of what is overwritten in part the rest is not known.
                    self.stored.entry((base, at)).or_insert((1, CodeValue::Unknown(Taint::FUTURE)));
                }
                self.stored.insert((base, offset), (size as u8, value));
            }
            _ if places.taint(address).has(Taint::FUTURE) => {
                self.quiet = false;
                self.change(Base::Future, i64::MIN, &[]);
                let held: Vec<Base> = self.stored.keys().map(|&(base, _)| base).collect();
                held.into_iter().for_each(|base| self.change(base, i64::MIN, &[]));
                self.forget_escaped();
            }
            _ => self.forget_escaped(),
        }
    }

    /// The values on the stack that lie in this stretch.
    pub(super) fn on_stack(&self, from: i64, len: i64) -> impl Iterator<Item = CodeValue> + '_ {
        self.slots.range(from..from.saturating_add(len)).map(|(_, &(_, value))| value)
    }

    /// The state after either; `None` if that is this one.
    pub(super) fn join(&self, places: &Places, other: &Self) -> Option<Self> {
        if self == other {
            return None;
        }
        let mut joined = self.clone();
        for (one, &(value, known)) in joined.registers.iter_mut().zip(&other.registers) {
            *one = (places.join(one.0, value), one.1.min(known));
        }
        joined.vectors = self.vectors.and(other.vectors);
        joined.escaped = self.escaped.min(other.escaped);
        joined.escaped_taint = self.escaped_taint.and(other.escaped_taint);
        joined.quiet &= other.quiet;
        for (&base, &from) in &other.changed {
            let least = joined.changed.entry(base).or_insert(i64::MAX);
            *least = from.min(*least);
        }
        // A slot that only one side has may still hold the context, or something of the future.
        let slot = |at: i64, len: u8, value: CodeValue, there: Option<&(u8, CodeValue)>| match there {
            Some(&(same, other)) if same == len => Some((at, (len, places.join(value, other)))),
            _ => {
                let taint = places.taint(value);
                (taint != Taint::default()).then_some((at, (len, CodeValue::Unknown(taint))))
            }
        };
        joined.slots =
            self.slots.iter().filter_map(|(&at, &(len, value))| slot(at, len, value, other.slots.get(&at))).collect();
        let of_other = other.slots.iter().filter(|(at, _)| !self.slots.contains_key(at));
        joined.slots.extend(of_other.filter_map(|(&at, &(len, value))| slot(at, len, value, None)));
        let both = |(&at, &(len, value)): (&(Base, i64), &(u8, CodeValue))| match other.stored.get(&at) {
            Some(&(same, other)) if same == len => (at, (len, places.join(value, other))),
            _ => (at, (len, CodeValue::Unknown(Taint::FUTURE))),
        };
        joined.stored = self.stored.iter().map(both).collect();
        for (&at, &(len, _)) in &other.stored {
            let unknown = (len, CodeValue::Unknown(Taint::FUTURE));
            let entry = joined.stored.entry(at).or_insert(unknown);
            if entry.0 != len {
                *entry = (entry.0.max(len), unknown.1);
            }
        }
        joined.flags = if self.flags == other.flags { self.flags } else { FlagSource::Unknown(Taint::FUTURE) };
        (joined != *self).then_some(joined)
    }
}

fn is_high(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}

fn overwritten<'s>(near: impl Iterator<Item = (&'s i64, &'s (u8, CodeValue))>, offset: i64) -> Vec<i64> {
    near.filter(|&(&at, &(len, _))| at.saturating_add(len.into()) > offset).map(|(&at, _)| at).collect()
}

/// The part of what was stored nearby that lies there; `None` if nothing of it was stored.
fn part(places: &Places, near: impl Iterator<Item = (i64, u8, CodeValue)>, offset: i64, size: u8) -> Option<CodeValue> {
    let over: Vec<_> = near.filter(|&(at, len, _)| at.saturating_add(len.into()) > offset).collect();
    let &(at, len, value) = over.first()?;
    let end = offset.saturating_add(size.into());
    if over.len() > 1 || at > offset || at.saturating_add(len.into()) < end {
        let taints = over.iter().map(|&(_, _, value)| places.taint(value));
        return Some(CodeValue::Unknown(taints.fold(Taint::FUTURE, Taint::and)));
    }
    if at == offset && len == size {
        return Some(value);
    }
    let shift = 8 * (offset - at) as u32;
    let of_number = value.each(|number| masked(number.checked_shr(shift).unwrap_or(0), size));
    Some(of_number.unwrap_or_else(|| CodeValue::Unknown(places.taint(value))))
}

/// Returns the content that a place had when the function was entered.
pub(super) fn initial(places: &Places, assumed: &Assumed, place: Place) -> CodeValue {
    match assumed.get(place) {
        Some(&Fact::Is(number)) => CodeValue::Constant(number),
        _ => places.load(place),
    }
}
