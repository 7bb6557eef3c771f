//! What one instruction does to the state.

use iced_x86::{ConditionCode, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::{
    memory::{Assumed, FlagSource, MachineState, initial},
    value::{Base, CodeValue, NOTHING, Place, Places, Taint, among, masked, signed},
};
use crate::{addr::ElfAddr, code::x86_64::is_write, image::elf::Elf};

/// Instructions run on states, with the same things taken for granted.
pub(super) struct Machine<'m, 'data> {
    pub(super) elf: &'m Elf<'data>,
    pub(super) places: &'m Places,
    pub(super) assumed: &'m Assumed,
}

/// The thing that a condition depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecidedBy {
    Known(bool),
    /// On what the place holds: by comparison with one of these numbers.
    Place(Place, Vec<u64>),
    /// On something of which only this is known.
    Unknown(Taint),
}

impl Machine<'_, '_> {
    /// The address of the memory operand, and `false` if something unknown is added to it.
    pub(super) fn address(&self, state: &MachineState, instruction: &Instruction) -> (CodeValue, bool) {
        if instruction.segment_prefix() != Register::None {
            return (NOTHING, false);
        }
        if instruction.is_ip_rel_memory_operand() {
            return (CodeValue::Constant(instruction.ip_rel_memory_address()), true);
        }
        let displacement = instruction.memory_displacement64() as i64;
        let base = match instruction.memory_base() {
            Register::None => CodeValue::Constant(0),
            base => self.register(state, base),
        };
        let index = match instruction.memory_index() {
            Register::None => CodeValue::Constant(0),
            index => self.register(state, index),
        };
        let scale = u64::from(instruction.memory_index_scale());
        let sum = match (base, index) {
            (base, CodeValue::Constant(index)) => base.plus(index.wrapping_mul(scale) as i64),
            (CodeValue::Constant(base), index @ CodeValue::Address(..)) if scale == 1 => index.plus(base as i64),
            (CodeValue::Address(..), _) => return (base.plus(displacement).unwrap_or(NOTHING), false),
            _ => None,
        };
        match sum.and_then(|sum| sum.plus(displacement)) {
            Some(sum) => (sum, true),
            None => (CodeValue::Unknown(self.places.taint(base).and(self.places.taint(index))), false),
        }
    }

    pub(super) fn register(&self, state: &MachineState, register: Register) -> CodeValue {
        let (value, known) = state.whole(register);
        let size = register.size() as u8;
        let is_high = matches!(register, Register::AH | Register::BH | Register::CH | Register::DH);
        if size > known || is_high {
            return CodeValue::Unknown(self.places.taint(value));
        }
        self.narrowed(value, size)
    }

    fn narrowed(&self, value: CodeValue, size: u8) -> CodeValue {
        if size >= 8 {
            return value;
        }
        match value {
            CodeValue::Constant(_) | CodeValue::Among(..) => {
                value.each(|number| masked(number, size)).unwrap_or(NOTHING)
            }
            CodeValue::Address(Base::Loaded(number), offset) => {
                let place = self.places.get(number);
                if place.size <= size {
                    value
                } else if offset == 0 {
                    initial(self.places, self.assumed, Place { size, ..place })
                } else {
                    CodeValue::Unknown(self.places.taint(value))
                }
            }
            CodeValue::Address(..) | CodeValue::Case(_) | CodeValue::Unknown(_) => {
                CodeValue::Unknown(self.places.taint(value))
            }
        }
    }

    pub(super) fn operand(&self, state: &MachineState, instruction: &Instruction, operand: u32) -> CodeValue {
        match instruction.op_kind(operand) {
            OpKind::Register => self.register(state, instruction.op_register(operand)),
            OpKind::Memory => self.load(state, instruction),
            _ => {
                let Ok(number) = instruction.try_immediate(operand) else { return NOTHING };
                CodeValue::Constant(masked(number, operand_size(instruction)))
            }
        }
    }

    fn load(&self, state: &MachineState, instruction: &Instruction) -> CodeValue {
        let (address, exact) = self.address(state, instruction);
        let size = instruction.memory_size().size();
        if let CodeValue::Constant(at) = address {
            let pointer = self.elf.constant_pointer(ElfAddr(at)).filter(|_| size == 8);
            return pointer.map_or(NOTHING, |to| CodeValue::Constant(to.0));
        }
        if !exact {
            let table = self.register(state, instruction.memory_index());
            let taint = self.places.taint(address).and(self.places.taint(table));
            let is_stack = matches!(address, CodeValue::Address(Base::Stack, _));
            return CodeValue::Unknown(if is_stack { Taint::CONTEXT.and(Taint::FUTURE) } else { taint });
        }
        match u8::try_from(size) {
            Ok(size @ 1..=8) => state.load(self.places, self.assumed, address, size),
            _ => CodeValue::Unknown(self.places.taint(address)),
        }
    }

    /// The value of the first operand afterwards; `None` if it is not known.
    fn result(&self, state: &MachineState, instruction: &Instruction) -> Option<CodeValue> {
        let operand = |place| self.operand(state, instruction, place);
        let size = operand_size(instruction);
        match instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movzx => Some(operand(1)),
            Mnemonic::Movsxd | Mnemonic::Movsx => self.sign_extended(state, instruction),
            Mnemonic::Lea => {
                let (address, exact) = self.address(state, instruction);
                let fits =
                    size == 8 || !matches!(address, CodeValue::Address(Base::Future | Base::Stack | Base::Context, _));
                let masked_address = address.each(|number| masked(number, size)).unwrap_or(address);
                (exact && fits).then_some(masked_address)
            }
            Mnemonic::Add => sum(operand(0), operand(1), size, 1),
            Mnemonic::Sub => sum(operand(0), operand(1), size, -1),
            Mnemonic::Inc => sum(operand(0), CodeValue::Constant(1), size, 1),
            Mnemonic::Dec => sum(operand(0), CodeValue::Constant(1), size, -1),
            Mnemonic::Xor if is_same(instruction) => Some(CodeValue::Constant(0)),
            Mnemonic::Xor => numbers(operand(0), operand(1), |one, other| one ^ other),
            Mnemonic::Or => numbers(operand(0), operand(1), |one, other| one | other),
            Mnemonic::And => numbers(operand(0), operand(1), |one, other| one & other),
            Mnemonic::Shl => numbers(operand(0), operand(1), |one, by| masked(one << (by & 63), size)),
            Mnemonic::Shr => numbers(operand(0), operand(1), |one, by| one >> (by & 63)),
            Mnemonic::Imul if instruction.op_count() == 3 => {
                numbers(operand(1), operand(2), |one, other| masked(one.wrapping_mul(other), size))
            }
            Mnemonic::Pop => {
                let sp = state.stack_pointer()?;
                Some(state.load(self.places, self.assumed, CodeValue::Address(Base::Stack, sp), 8))
            }
            _ if is_set(instruction) => Some(match self.decide(state, instruction.condition_code()) {
                DecidedBy::Known(is) => CodeValue::Constant(is.into()),
                _ => among([0, 1].into_iter())?,
            }),
            _ if is_cmov(instruction) => Some(match self.decide(state, instruction.condition_code()) {
                DecidedBy::Known(true) => operand(1),
                DecidedBy::Known(false) => operand(0),
                _ => self.places.join(operand(0), operand(1)),
            }),
            _ => None,
        }
    }

    fn sign_extended(&self, state: &MachineState, instruction: &Instruction) -> Option<CodeValue> {
        let from = match instruction.op1_kind() {
            OpKind::Register => instruction.op1_register().size() as u8,
            _ => u8::try_from(instruction.memory_size().size()).ok()?,
        };
        let is_indexed = instruction.op1_kind() == OpKind::Memory && instruction.memory_index() != Register::None;
        if is_indexed && from == 4 {
            return self.table_entry(state, instruction);
        }
        let to = operand_size(instruction);
        self.operand(state, instruction, 1).each(|number| masked(signed(number, from) as u64, to))
    }

    /// An entry of a table of distances, which stands between code and read-only data.
    fn table_entry(&self, state: &MachineState, instruction: &Instruction) -> Option<CodeValue> {
        match self.address(state, instruction) {
            (CodeValue::Constant(at), true) => {
                let entry = self.elf.bytes(ElfAddr(at), 4).try_into().ok().map(i32::from_le_bytes)?;
                Some(CodeValue::Constant(i64::from(entry) as u64))
            }
            _ => match self.register(state, instruction.memory_index()) {
                CodeValue::Address(Base::Loaded(number), _) => Some(CodeValue::Case(number)),
                _ => None,
            },
        }
    }

    /// Runs any instruction that goes on to the next.
    pub(super) fn step(&self, state: &mut MachineState, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let flags = self.flags_after(state, instruction);
        let result = self.result(state, instruction);
        let used = info.info(instruction);
        let taint = self.taint_of_reads(state, instruction, used);
        let (address, memory_size) = (self.address(state, instruction), instruction.memory_size().size());
        let pushed = matches!(instruction.mnemonic(), Mnemonic::Push).then(|| self.operand(state, instruction, 0));
        let moved = state.stack_pointer().map(|sp| sp.wrapping_add(i64::from(instruction.stack_pointer_increment())));
        let has_memory = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
        let writes_memory = used.used_memory().iter().any(|memory| is_write(memory.access()));
        for register in used.used_registers().iter().filter(|register| is_write(register.access())) {
            state.forget(register.register(), taint);
        }
        if instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Register {
            let written = used.used_registers().iter().any(|register| {
                is_write(register.access())
                    && register.register().full_register() == instruction.op0_register().full_register()
            });
            if let Some(result) = result.filter(|_| written) {
                state.set(instruction.op0_register(), result);
            }
        }
        let sets_sp = instruction.op_count() > 0
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().full_register() == Register::RSP;
        if sets_sp && instruction.mnemonic() == Mnemonic::And {
            // The frame is aligned: it begins somewhat lower, nobody knows how much.
            let aligned = moved.map_or(NOTHING, |sp| CodeValue::Address(Base::Stack, sp - 4096));
            state.set(Register::RSP, aligned);
        } else if !sets_sp {
            state.set(Register::RSP, moved.map_or(NOTHING, |sp| CodeValue::Address(Base::Stack, sp)));
        }
        if let Some(value) = pushed {
            let sp = moved.map_or(NOTHING, |sp| CodeValue::Address(Base::Stack, sp));
            state.store(self.places, (sp, true), 8, value);
        } else if writes_memory && has_memory {
            let is_first = instruction.op0_kind() == OpKind::Memory;
            let value = result.filter(|_| is_first).unwrap_or(CodeValue::Unknown(taint));
            state.store(self.places, address, memory_size, value);
        } else if writes_memory {
            // String instructions: to wherever RDI points.
            let to = self.register(state, Register::RDI);
            state.store(self.places, (to, false), memory_size, CodeValue::Unknown(taint));
        }
        if instruction.rflags_modified() != 0 {
            state.flags = flags.unwrap_or(FlagSource::Unknown(taint));
        }
    }

    fn taint_of_reads(
        &self,
        state: &MachineState,
        instruction: &Instruction,
        used: &iced_x86::InstructionInfo,
    ) -> Taint {
        let mut taint = Taint::default();
        for register in used.used_registers() {
            let register = register.register();
            if register.is_vector_register() {
                taint = taint.and(state.taint_of_vectors());
            } else if register.full_register() != Register::RSP {
                taint = taint.and(self.places.taint(state.whole(register).0));
            }
        }
        let reads = used.used_memory().iter().any(|memory| memory.access() != iced_x86::OpAccess::Write);
        if reads && (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory) {
            taint = taint.and(self.places.taint(self.load(state, instruction)));
            if let (CodeValue::Address(Base::Stack, at), true) = self.address(state, instruction) {
                let len = i64::try_from(instruction.memory_size().size()).unwrap_or(0);
                taint = state.on_stack(at, len).fold(taint, |taint, value| taint.and(self.places.taint(value)));
            }
        }
        taint
    }

    fn flags_after(&self, state: &MachineState, instruction: &Instruction) -> Option<FlagSource> {
        let operand = |place| self.operand(state, instruction, place);
        let size = operand_size(instruction);
        match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Sub => Some(FlagSource::Compared(operand(0), operand(1), size)),
            Mnemonic::Test => Some(FlagSource::Tested(operand(0), operand(1), size)),
            Mnemonic::Dec => Some(FlagSource::Compared(operand(0), CodeValue::Constant(1), size)),
            Mnemonic::Add | Mnemonic::Inc | Mnemonic::And | Mnemonic::Or | Mnemonic::Xor => {
                Some(FlagSource::Result(self.result(state, instruction)?, size))
            }
            _ => None,
        }
    }

    /// Returns the thing that the condition depends on.
    pub(super) fn decide(&self, state: &MachineState, condition: ConditionCode) -> DecidedBy {
        let (left, right, size, only_zero) = match state.flags {
            FlagSource::Unknown(taint) => return DecidedBy::Unknown(taint),
            FlagSource::Compared(left, right, size) => (left, right, size, false),
            FlagSource::Result(value, size) => (value, CodeValue::Constant(0), size, true),
            FlagSource::Tested(left, right, size) if left == right => (left, CodeValue::Constant(0), size, false),
            FlagSource::Tested(left, right, size) => match numbers(left, right, |one, other| one & other) {
                Some(both) => (both, CodeValue::Constant(0), size, false),
                None => return self.tested(left, right),
            },
        };
        let unknown = || DecidedBy::Unknown(self.places.taint(left).and(self.places.taint(right)));
        if only_zero
            && !matches!(condition, ConditionCode::e | ConditionCode::ne | ConditionCode::s | ConditionCode::ns)
        {
            return unknown();
        }
        if let (Some(left), Some(right)) = (left.numbers(), right.numbers()) {
            let both = left.iter().flat_map(|&left| right.iter().map(move |&right| (left, right)));
            let mut all = both.map(|(left, right)| holds(condition, left, right, size));
            let first = all.next().flatten();
            return match first {
                Some(first) if all.all(|other| other == Some(first)) => DecidedBy::Known(first),
                _ => DecidedBy::Unknown(Taint::default()),
            };
        }
        let (CodeValue::Address(Base::Loaded(number), added), CodeValue::Constant(right)) = (left, right) else {
            return unknown();
        };
        let place = self.places.get(number);
        let back = |number: u64| masked(number.wrapping_sub(added as u64), place.size);
        if let (Some(super::memory::Fact::Not(not)), ConditionCode::e | ConditionCode::ne) =
            (self.assumed.get(place), condition)
            && not.contains(&back(right))
        {
            return DecidedBy::Known(condition == ConditionCode::ne);
        }
        let numbers = match condition {
            ConditionCode::e | ConditionCode::ne => vec![back(right)],
            _ if right <= 16 => (0..=right).map(back).collect(),
            _ => Vec::new(),
        };
        if self.places.root(place.base) == Base::Future { DecidedBy::Place(place, numbers) } else { unknown() }
    }

    fn tested(&self, left: CodeValue, right: CodeValue) -> DecidedBy {
        match (left, right) {
            (CodeValue::Address(Base::Loaded(number), 0), CodeValue::Constant(mask)) => {
                let place = self.places.get(number);
                let is_future = self.places.root(place.base) == Base::Future;
                if is_future {
                    DecidedBy::Place(place, vec![0, mask])
                } else {
                    DecidedBy::Unknown(self.places.taint(left))
                }
            }
            _ => DecidedBy::Unknown(self.places.taint(left).and(self.places.taint(right))),
        }
    }
}

fn sum(one: CodeValue, other: CodeValue, size: u8, sign: i64) -> Option<CodeValue> {
    let sum = match (one, other) {
        (_, CodeValue::Constant(by)) => one.plus(signed(by, size).wrapping_mul(sign)),
        (CodeValue::Constant(by), _) if sign == 1 => other.plus(signed(by, size)),
        _ => None,
    }?;
    let sum = sum.each(|number| masked(number, size)).unwrap_or(sum);
    let is_pointer = matches!(sum, CodeValue::Address(Base::Future | Base::Stack | Base::Context, _));
    (size == 8 || !is_pointer).then_some(sum)
}

fn holds(condition: ConditionCode, left: u64, right: u64, size: u8) -> Option<bool> {
    let (left, right) = (masked(left, size), masked(right, size));
    let (signed_left, signed_right) = (signed(left, size), signed(right, size));
    Some(match condition {
        ConditionCode::e => left == right,
        ConditionCode::ne => left != right,
        ConditionCode::b => left < right,
        ConditionCode::ae => left >= right,
        ConditionCode::be => left <= right,
        ConditionCode::a => left > right,
        ConditionCode::l => signed_left < signed_right,
        ConditionCode::ge => signed_left >= signed_right,
        ConditionCode::le => signed_left <= signed_right,
        ConditionCode::g => signed_left > signed_right,
        ConditionCode::s => signed(left.wrapping_sub(right), size) < 0,
        ConditionCode::ns => signed(left.wrapping_sub(right), size) >= 0,
        _ => return None,
    })
}

fn numbers(one: CodeValue, other: CodeValue, change: impl Fn(u64, u64) -> u64) -> Option<CodeValue> {
    match (one, other) {
        (_, CodeValue::Constant(other)) => one.each(|one| change(one, other)),
        (CodeValue::Constant(one), _) => other.each(|other| change(one, other)),
        _ => None,
    }
}

fn is_same(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}

fn is_set(instruction: &Instruction) -> bool {
    instruction.condition_code() != ConditionCode::None && instruction.op_count() == 1
}

fn is_cmov(instruction: &Instruction) -> bool {
    instruction.condition_code() != ConditionCode::None && instruction.op_count() == 2
}

/// The length of the first operand in bytes, at most 8.
fn operand_size(instruction: &Instruction) -> u8 {
    let size = match instruction.op_kind(0) {
        OpKind::Register => instruction.op0_register().size(),
        _ => instruction.memory_size().size(),
    };
    size.clamp(1, 8) as u8
}
