//! Where code leads if one byte of memory holds a given number, and nothing else decides.

use iced_x86::{ConditionCode, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind};

use super::{
    code::{Body, Code, Target, loaded_address},
    symbolic::{SymbolicRoot, SymbolicState, SymbolicValue},
};
use crate::{
    addr::ElfAddr,
    image::panic_location::{self, ResumedMessage},
};

/// More instructions than this do not decide.
const STEPS_MAX: usize = 96;
/// A function longer than this does more than panic with a message.
const PANIC_LEN_MAX: u64 = 0x60;

/// The end of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AssumedEnd {
    /// An async body panics there, as it was resumed after it was done, at the `Location` with that address.
    Resumed { message: ResumedMessage, location: ElfAddr },
    /// The call of something else that never returns is at this address.
    Dies(u64),
    /// Something else decides.
    Elsewhere,
}

/// The operands of the comparison that the flags are of.
#[derive(Clone, Copy)]
struct Flags {
    left: i64,
    right: i64,
    bytes: usize,
    /// Set if they tell no more than whether the first is equal to, or less than, the second.
    of_result: bool,
}

/// Follows the function's code from the instruction at this index.
pub(super) fn follow(
    code: &Code<'_, '_>,
    body: &Body,
    from: usize,
    state: &SymbolicState,
    byte: (&SymbolicValue, u8),
) -> AssumedEnd {
    let mut walk = AssumedWalk { code, body, state: state.clone(), flags: None, info: InstructionInfoFactory::new() };
    walk.state.assume(byte.0, byte.1);
    walk.run(from, byte)
}

struct AssumedWalk<'a, 'e, 'data> {
    code: &'a Code<'e, 'data>,
    body: &'a Body,
    state: SymbolicState,
    flags: Option<Flags>,
    info: InstructionInfoFactory,
}

impl AssumedWalk<'_, '_, '_> {
    fn run(&mut self, from: usize, byte: (&SymbolicValue, u8)) -> AssumedEnd {
        let mut at = Some(from);
        for _ in 0..STEPS_MAX {
            let Some(instruction) = at.and_then(|at| self.body.instructions.get(at)) else {
                return AssumedEnd::Elsewhere;
            };
            at = match instruction.flow_control() {
                FlowControl::Next => {
                    if self.stores_elsewhere(instruction) {
                        return AssumedEnd::Elsewhere;
                    }
                    self.step(instruction, byte);
                    at.map(|at| at + 1)
                }
                FlowControl::ConditionalBranch => match self.is_taken(instruction) {
                    Some(true) => self.body.index_of(instruction.near_branch_target()),
                    Some(false) => at.map(|at| at + 1),
                    None => None,
                },
                FlowControl::UnconditionalBranch if self.body.contains(instruction.near_branch_target()) => {
                    self.body.index_of(instruction.near_branch_target())
                }
                FlowControl::IndirectBranch => self.jump(instruction).and_then(|to| self.body.index_of(to)),
                FlowControl::Call | FlowControl::IndirectCall | FlowControl::UnconditionalBranch => {
                    return self.call(instruction);
                }
                _ => return AssumedEnd::Elsewhere,
            };
        }
        AssumedEnd::Elsewhere
    }

    fn stores_elsewhere(&self, instruction: &Instruction) -> bool {
        let writes = instruction.op_count() > 0
            && instruction.op0_kind() == OpKind::Memory
            && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test);
        writes && self.state.address(instruction).is_none_or(|address| address.root != SymbolicRoot::Stack)
    }

    fn step(&mut self, instruction: &Instruction, byte: (&SymbolicValue, u8)) {
        let flags = self.flags_after(instruction, byte);
        let number = self.table_entry(instruction).or_else(|| self.low_byte_after(instruction, byte));
        self.state.step(instruction, &mut self.info);
        if let Some(number) = number {
            self.state.set_constant(instruction.op0_register(), number);
        }
        self.state.assume(byte.0, byte.1);
        if instruction.rflags_modified() != 0 {
            self.flags = flags;
        }
    }

    fn number(&self, instruction: &Instruction, operand: u32, byte: (&SymbolicValue, u8)) -> Option<i64> {
        let value = self.state.operand(instruction, operand)?;
        match &value.root {
            SymbolicRoot::Constant => Some(value.offset),
            SymbolicRoot::Loaded(address, 1) if **address == *byte.0 => {
                Some(value.offset.wrapping_add(i64::from(byte.1)))
            }
            _ => None,
        }
    }

    fn flags_after(&self, instruction: &Instruction, byte: (&SymbolicValue, u8)) -> Option<Flags> {
        let bytes = match instruction.op0_kind() {
            OpKind::Register => instruction.op0_register().size(),
            _ => instruction.memory_size().size(),
        };
        let left = self.number(instruction, 0, byte)?;
        let right = || self.number(instruction, 1, byte);
        let flags = |left, right, of_result| Some(Flags { left, right, bytes, of_result });
        match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Sub => flags(left, right()?, false),
            Mnemonic::Test => flags(left & right()?, 0, false),
            Mnemonic::Dec => flags(left, 1, true),
            Mnemonic::Inc => flags(left.wrapping_add(1), 0, true),
            Mnemonic::Add => flags(left.wrapping_add(right()?), 0, true),
            _ => None,
        }
    }

    /// The entry of a jump table that the instruction loads. The table ends before whatever else the function loads
    /// the address of.
    fn table_entry(&self, instruction: &Instruction) -> Option<i64> {
        let is_entry = instruction.mnemonic() == Mnemonic::Movsxd && instruction.op1_kind() == OpKind::Memory;
        let address =
            self.state.address(instruction).filter(|address| is_entry && address.root == SymbolicRoot::Constant)?;
        let (table, at) = (self.state.register(instruction.memory_base())?.offset as u64, address.offset as u64);
        let loaded = self.body.instructions.iter().filter_map(|instruction| loaded_address(self.code.elf, instruction));
        if loaded.map(|loaded| loaded.0).any(|loaded| table < loaded && loaded <= at) {
            return None;
        }
        let entry = self.code.elf.bytes(ElfAddr(at), 4);
        entry.try_into().ok().map(|entry| i64::from(i32::from_le_bytes(entry)))
    }

    /// The number that arithmetic on a register's lowest byte leaves there. The bytes above are taken to be 0, as they
    /// are after the byte was loaded; more than the lowest is looked at only after `movzx`.
    fn low_byte_after(&self, instruction: &Instruction, byte: (&SymbolicValue, u8)) -> Option<i64> {
        let is_byte = instruction.op_count() > 0
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().size() == 1
            && instruction.op0_register() == low_byte(instruction)?;
        let left = || self.number(instruction, 0, byte);
        let right = || self.number(instruction, 1, byte);
        let number = match instruction.mnemonic() {
            _ if !is_byte => return None,
            Mnemonic::Mov => right()?,
            Mnemonic::Add => left()?.wrapping_add(right()?),
            Mnemonic::Sub => left()?.wrapping_sub(right()?),
            Mnemonic::Inc => left()?.wrapping_add(1),
            Mnemonic::Dec => left()?.wrapping_sub(1),
            Mnemonic::And => left()? & right()?,
            _ => return None,
        };
        Some(number & 0xff)
    }

    fn is_taken(&self, jump: &Instruction) -> Option<bool> {
        let Flags { left, right, bytes, of_result } = self.flags?;
        let unused = 64 - 8 * u32::try_from(bytes).ok().filter(|bytes| (1..=8).contains(bytes))?;
        let (signed, unsigned) = (|number: i64| number << unused >> unused, |number: i64| (number as u64) << unused);
        let is_less = signed(left) < signed(right);
        let is_below = unsigned(left) < unsigned(right);
        let is_equal = unsigned(left) == unsigned(right);
        let is_negative = signed(left.wrapping_sub(right)) < 0;
        match jump.condition_code() {
            ConditionCode::e => Some(is_equal),
            ConditionCode::ne => Some(!is_equal),
            ConditionCode::s => Some(is_negative),
            ConditionCode::ns => Some(!is_negative),
            _ if of_result => None,
            ConditionCode::b => Some(is_below),
            ConditionCode::ae => Some(!is_below),
            ConditionCode::be => Some(is_below || is_equal),
            ConditionCode::a => Some(!is_below && !is_equal),
            ConditionCode::l => Some(is_less),
            ConditionCode::ge => Some(!is_less),
            ConditionCode::le => Some(is_less || is_equal),
            ConditionCode::g => Some(!is_less && !is_equal),
            _ => None,
        }
    }

    fn jump(&self, jump: &Instruction) -> Option<u64> {
        if jump.op0_kind() == OpKind::Memory {
            let entry = self.state.address(jump).filter(|entry| entry.root == SymbolicRoot::Constant)?;
            return self.code.elf.pointer(ElfAddr(entry.offset as u64)).map(|to| to.0);
        }
        self.state.operand(jump, 0).filter(|to| to.root == SymbolicRoot::Constant).map(|to| to.offset as u64)
    }

    fn call(&self, call: &Instruction) -> AssumedEnd {
        let Target::Known(function) = self.code.target(call) else { return AssumedEnd::Elsewhere };
        if !self.code.never_returns(function) {
            return AssumedEnd::Elsewhere;
        }
        let arguments = self.state.arguments();
        let constant = |place: usize| {
            let value = arguments[place].as_ref().filter(|value| value.root == SymbolicRoot::Constant)?;
            Some(ElfAddr(value.offset as u64))
        };
        let elf = self.code.elf;
        // `panic_const_async_fn_resumed(&Location)`, or `panic(message, its length, &Location)` before there was that.
        let own = constant(0).and_then(|location| Some((message_of(self.code, function)?, location)));
        let passed = || constant(0).and_then(|message| Some((panic_location::message_at(elf, message)?, constant(2)?)));
        match own.or_else(passed) {
            Some((message, location)) => AssumedEnd::Resumed { message, location },
            None => AssumedEnd::Dies(call.ip()),
        }
    }
}

fn low_byte(instruction: &Instruction) -> Option<iced_x86::Register> {
    use iced_x86::Register;
    let low = [
        Register::AL,
        Register::CL,
        Register::DL,
        Register::BL,
        Register::SPL,
        Register::BPL,
        Register::SIL,
        Register::DIL,
        Register::R8L,
        Register::R9L,
        Register::R10L,
        Register::R11L,
        Register::R12L,
        Register::R13L,
        Register::R14L,
        Register::R15L,
    ];
    let full = instruction.op0_register().full_register();
    full.is_gpr64().then(|| low[full.number() & 15])
}

/// The message with which a function panics that does nothing else.
pub(crate) fn message_of(code: &Code<'_, '_>, function: ElfAddr) -> Option<ResumedMessage> {
    let body = code.body(function).filter(|body| body.function.len <= PANIC_LEN_MAX)?;
    let loaded = body.instructions.iter().filter_map(|instruction| loaded_address(code.elf, instruction));
    let mut messages = loaded.filter_map(|address| {
        panic_location::message_at(code.elf, address).or_else(|| panic_location::message_in_parts_at(code.elf, address))
    });
    messages.next()
}
