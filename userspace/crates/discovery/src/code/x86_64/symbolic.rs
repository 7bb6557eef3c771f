//! Symbolic values of registers and stack slots along one path through a function, in terms of its arguments.

use std::{collections::BTreeMap, rc::Rc};

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::values::{ARGUMENTS, CALLER_SAVED, is_write};

/// A value that was loaded through so many others is not followed further.
const DEPTH_MAX: u8 = 6;
/// More slots than this are not tracked.
const SLOTS_MAX: usize = 256;
/// The greatest alignment of a stack frame.
const ALIGNMENT_MAX: i64 = 1 << 12;

/// The origin that a value is counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SymbolicRoot {
    /// The argument with this place, from 0.
    Argument(u8),
    /// The stack pointer at the entry.
    Stack,
    /// The address `%fs` points at: the end of the executable's thread-local variables.
    Thread,
    /// 0.
    Constant,
    /// Something that was multiplied by this constant.
    Product(i64),
    /// The content of memory at the address, in so many bytes.
    Loaded(Rc<SymbolicValue>, u8),
}

/// A value: a root plus an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolicValue {
    /// The origin it is counted from.
    pub root: SymbolicRoot,
    /// The distance from it, in bytes where it is an address.
    pub offset: i64,
}

impl SymbolicValue {
    /// An argument, as it was passed.
    #[must_use]
    pub fn argument(place: u8) -> Self {
        Self { root: SymbolicRoot::Argument(place), offset: 0 }
    }

    /// A number.
    #[must_use]
    pub fn constant(offset: i64) -> Self {
        Self { root: SymbolicRoot::Constant, offset }
    }

    /// The address that the value was loaded from, and how many bytes were; only if nothing was added since.
    #[must_use]
    pub fn loaded_from(&self) -> Option<(&Self, u8)> {
        match &self.root {
            SymbolicRoot::Loaded(address, bytes) if self.offset == 0 => Some((address, *bytes)),
            _ => None,
        }
    }

    fn depth(&self) -> u8 {
        match &self.root {
            SymbolicRoot::Loaded(address, _) => address.depth().saturating_add(1),
            _ => 0,
        }
    }

    /// So many bytes further on.
    #[must_use]
    pub fn plus(&self, by: i64) -> Self {
        Self { root: self.root.clone(), offset: self.offset.wrapping_add(by) }
    }

    /// The content of memory at this address.
    #[must_use]
    pub fn load(&self, bytes: usize) -> Option<Self> {
        let bytes = u8::try_from(bytes).ok().filter(|&bytes| bytes <= 8)?;
        (self.depth() < DEPTH_MAX).then(|| Self { root: SymbolicRoot::Loaded(Rc::new(self.clone()), bytes), offset: 0 })
    }

    /// Its low bytes, as a register of that size has them.
    fn narrowed(&self, bytes: usize) -> Option<Self> {
        match &self.root {
            _ if bytes >= 8 => Some(self.clone()),
            SymbolicRoot::Constant => {
                let unused = 64 - 8 * bytes as u32;
                Some(Self::constant(self.offset << unused >> unused))
            }
            SymbolicRoot::Loaded(address, loaded) => {
                let bytes = (*loaded).min(bytes as u8);
                Some(Self { root: SymbolicRoot::Loaded(Rc::clone(address), bytes), offset: self.offset })
            }
            _ => None,
        }
    }

    fn sum(&self, other: &Self) -> Option<Self> {
        match (&self.root, &other.root) {
            (_, SymbolicRoot::Constant) => Some(self.plus(other.offset)),
            (SymbolicRoot::Constant, _) => Some(other.plus(self.offset)),
            _ => None,
        }
    }
}

/// The values known at one instruction.
#[derive(Clone, Debug)]
pub(super) struct SymbolicState {
    registers: [Option<SymbolicValue>; 16],
    /// By place against the stack pointer at the entry. The ways that part at a branch share them until they differ.
    slots: Rc<BTreeMap<i64, (SymbolicValue, usize)>>,
}

impl SymbolicState {
    /// At the entry of a function.
    pub(super) fn at_entry() -> Self {
        let mut state = Self { registers: Default::default(), slots: Rc::default() };
        for (place, register) in (0..).zip(ARGUMENTS) {
            state.set(register, Some(SymbolicValue::argument(place)));
        }
        state.set(Register::RSP, Some(SymbolicValue { root: SymbolicRoot::Stack, offset: 0 }));
        state
    }

    /// At the entry of a function called here.
    pub(super) fn called(&self) -> Self {
        let mut state = self.clone();
        state.set(
            Register::RSP,
            self.stack_pointer().map(|sp| SymbolicValue { root: SymbolicRoot::Stack, offset: sp - 8 }),
        );
        state
    }

    /// After a call returned.
    pub(super) fn after_call(&mut self) {
        CALLER_SAVED.into_iter().for_each(|register| self.set(register, None));
        if let Some(sp) = self.stack_pointer() {
            // Below lay the called function's frame.
            if self.slots.first_key_value().is_some_and(|(&lowest, _)| lowest < sp) {
                let slots = Rc::make_mut(&mut self.slots);
                *slots = slots.split_off(&sp);
            }
        }
    }

    pub(super) fn arguments(&self) -> [Option<SymbolicValue>; 6] {
        ARGUMENTS.map(|register| self.register(register))
    }

    fn set(&mut self, register: Register, value: Option<SymbolicValue>) {
        let full = register.full_register();
        if full.is_gpr64() {
            self.registers[full.number() & 15] = value;
        }
    }

    pub(super) fn register(&self, register: Register) -> Option<SymbolicValue> {
        let full = register.full_register();
        let whole = if full.is_gpr64() { self.registers[full.number() & 15].as_ref() } else { None };
        whole?.narrowed(register.size())
    }

    /// Takes the byte at the address for this number, wherever it was loaded from there.
    pub(super) fn assume(&mut self, byte: &SymbolicValue, number: u8) {
        let is_it =
            |value: &SymbolicValue| matches!(&value.root, SymbolicRoot::Loaded(address, 1) if **address == *byte);
        let known = |value: &mut SymbolicValue| {
            if is_it(value) {
                *value = SymbolicValue::constant(value.offset.wrapping_add(i64::from(number)));
            }
        };
        self.registers.iter_mut().flatten().for_each(known);
        if self.slots.values().any(|(value, _)| is_it(value)) {
            Rc::make_mut(&mut self.slots).values_mut().for_each(|(value, _)| known(value));
        }
    }

    pub(super) fn set_constant(&mut self, register: Register, number: i64) {
        self.set(register, Some(SymbolicValue::constant(number)));
    }

    /// The values on the stack, and where.
    pub(super) fn kept(&self) -> impl Iterator<Item = (i64, &SymbolicValue)> {
        self.slots.iter().map(|(&at, (value, _))| (at, value))
    }

    fn stack_pointer(&self) -> Option<i64> {
        self.register(Register::RSP).filter(|sp| sp.root == SymbolicRoot::Stack).map(|sp| sp.offset)
    }

    /// The address that the memory operand names.
    pub(super) fn address(&self, instruction: &Instruction) -> Option<SymbolicValue> {
        match instruction.segment_prefix() {
            Register::None => self.offset(instruction),
            Register::FS => {
                let offset = self.offset(instruction).filter(|offset| offset.root == SymbolicRoot::Constant)?;
                Some(SymbolicValue { root: SymbolicRoot::Thread, offset: offset.offset })
            }
            _ => None,
        }
    }

    /// The address of an instruction's memory operand within its segment.
    fn offset(&self, instruction: &Instruction) -> Option<SymbolicValue> {
        if instruction.is_ip_rel_memory_operand() {
            return Some(SymbolicValue::constant(instruction.ip_rel_memory_address() as i64));
        }
        let displacement = instruction.memory_displacement64() as i64;
        let base = match instruction.memory_base() {
            Register::None => SymbolicValue::constant(0),
            base => self.register(base)?,
        };
        let index = match instruction.memory_index() {
            Register::None => SymbolicValue::constant(0),
            index => {
                let value = self.register(index)?;
                match (value.root, instruction.memory_index_scale()) {
                    (SymbolicRoot::Constant, scale) => {
                        SymbolicValue::constant(value.offset.wrapping_mul(i64::from(scale)))
                    }
                    // An element of an array: taken to be its first.
                    (SymbolicRoot::Product(_), 1) => SymbolicValue::constant(value.offset),
                    _ => return None,
                }
            }
        };
        Some(base.sum(&index)?.plus(displacement))
    }

    /// The value an operand holds.
    pub(super) fn operand(&self, instruction: &Instruction, operand: u32) -> Option<SymbolicValue> {
        if operand >= instruction.op_count() {
            return None;
        }
        match instruction.op_kind(operand) {
            OpKind::Register => self.register(instruction.op_register(operand)),
            OpKind::Memory => self.load(&self.address(instruction)?, instruction.memory_size().size()),
            _ => {
                let number = SymbolicValue::constant(instruction.try_immediate(operand).ok()? as i64);
                let first = instruction.op_kind(0);
                let bytes = match first {
                    OpKind::Register => instruction.op0_register().size(),
                    _ => instruction.memory_size().size(),
                };
                number.narrowed(bytes.clamp(1, 8))
            }
        }
    }

    fn load(&self, address: &SymbolicValue, bytes: usize) -> Option<SymbolicValue> {
        match address.root {
            SymbolicRoot::Stack => {
                let (value, stored) = self.slots.get(&address.offset)?;
                if bytes <= *stored { value.narrowed(bytes) } else { None }
            }
            // The word there holds its own address.
            // <https://gitlab.com/x86-psABIs/x86-64-ABI> (chapter 6)
            SymbolicRoot::Thread if address.offset == 0 && bytes == 8 => Some(address.clone()),
            _ => address.load(bytes),
        }
    }

    /// After any instruction but a call.
    pub(super) fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let (stored, result) = (self.store(instruction), self.result(instruction));
        let to = instruction.op0_kind();
        let moved_sp = self.stack_pointer().map(|sp| sp + i64::from(instruction.stack_pointer_increment()));
        let writes_sp = to == OpKind::Register && instruction.op0_register().full_register() == Register::RSP;
        let info = info.info(instruction);
        for used in info.used_registers().iter().filter(|used| is_write(used.access())) {
            self.set(used.register(), None);
        }
        if let Some((at, bytes, value)) = stored {
            self.store_at(at, bytes, value);
        }
        let sp = if writes_sp {
            result.clone()
        } else {
            moved_sp.map(|offset| SymbolicValue { root: SymbolicRoot::Stack, offset })
        };
        self.set(Register::RSP, sp);
        if to == OpKind::Register && !writes_sp && instruction.op0_register().size() >= 4 {
            let written = info.used_registers().iter().any(|used| {
                is_write(used.access()) && used.register().full_register() == instruction.op0_register().full_register()
            });
            if written {
                self.set(instruction.op0_register(), result);
            }
        }
    }

    fn store_at(&mut self, at: i64, bytes: usize, value: Option<SymbolicValue>) {
        let end = at.saturating_add(bytes.max(1) as i64);
        let is_under = |slot: i64, stored: usize| slot < end && slot + stored as i64 > at;
        // No slot is longer than a word.
        let around = at.saturating_sub(8)..end;
        let under = self.slots.range(around).filter(|&(&slot, &(_, stored))| is_under(slot, stored));
        let under: Vec<i64> = under.map(|(&slot, _)| slot).collect();
        let value = value.filter(|_| bytes <= 8 && self.slots.len() - under.len() < SLOTS_MAX);
        if under.is_empty() && value.is_none() {
            return;
        }
        let slots = Rc::make_mut(&mut self.slots);
        under.iter().for_each(|slot| drop(slots.remove(slot)));
        slots.extend(value.map(|value| (at, (value, bytes))));
    }

    /// A store to the stack: where, how many bytes, and what if that is known.
    fn store(&self, instruction: &Instruction) -> Option<(i64, usize, Option<SymbolicValue>)> {
        if instruction.mnemonic() == Mnemonic::Push {
            return Some((self.stack_pointer()? - 8, 8, self.operand(instruction, 0)));
        }
        if instruction.op_count() == 0
            || instruction.op0_kind() != OpKind::Memory
            || matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
        {
            return None;
        }
        let address = self.address(instruction).filter(|address| address.root == SymbolicRoot::Stack)?;
        let value = if instruction.mnemonic() == Mnemonic::Mov { self.operand(instruction, 1) } else { None };
        Some((address.offset, instruction.memory_size().size(), value))
    }

    /// The value the first operand holds afterwards.
    fn result(&self, instruction: &Instruction) -> Option<SymbolicValue> {
        let operand = |place| self.operand(instruction, place);
        match instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx => {
                let value = operand(1)?;
                let bytes =
                    if instruction.op0_kind() == OpKind::Register { instruction.op0_register().size() } else { 8 };
                value.narrowed(bytes)
            }
            Mnemonic::Lea => self.address(instruction),
            Mnemonic::Add => operand(0)?.sum(&operand(1)?).or_else(|| added_product(&operand(0)?, &operand(1)?)),
            Mnemonic::Sub => operand(1)
                .filter(|by| by.root == SymbolicRoot::Constant)
                .and_then(|by| Some(operand(0)?.plus(-by.offset))),
            Mnemonic::And if operand(0)?.root == SymbolicRoot::Stack => aligned(&operand(0)?, &operand(1)?),
            Mnemonic::Inc => Some(operand(0)?.plus(1)),
            Mnemonic::Dec => Some(operand(0)?.plus(-1)),
            Mnemonic::Xor if operand_is_same(instruction) => Some(SymbolicValue::constant(0)),
            Mnemonic::Imul if instruction.op_count() == 3 => {
                let by = instruction.try_immediate(2).ok()? as i64;
                Some(SymbolicValue { root: SymbolicRoot::Product(by), offset: 0 })
            }
            Mnemonic::Pop => self.slots.get(&self.stack_pointer()?).map(|(value, _)| value.clone()),
            _ => None,
        }
    }
}

/// A place on the stack, aligned: taken to be as far down as that may move it, so that nothing below it is above what
/// was there before.
fn aligned(place: &SymbolicValue, mask: &SymbolicValue) -> Option<SymbolicValue> {
    let is_mask = mask.root == SymbolicRoot::Constant
        && (-ALIGNMENT_MAX..0).contains(&mask.offset)
        && mask.offset.unsigned_abs().is_power_of_two();
    is_mask.then(|| place.plus(mask.offset))
}

/// An address plus a product is an element of an array: taken to be its first.
fn added_product(one: &SymbolicValue, other: &SymbolicValue) -> Option<SymbolicValue> {
    match (&one.root, &other.root) {
        (SymbolicRoot::Product(_), SymbolicRoot::Product(_)) => None,
        (SymbolicRoot::Product(_), _) => Some(other.plus(one.offset)),
        (_, SymbolicRoot::Product(_)) => Some(one.plus(other.offset)),
        _ => None,
    }
}

fn operand_is_same(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}
