//! What is known of registers and stack slots at one instruction: which of them hold the header.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// The registers that a called function may change (System V ABI).
const CALLER_SAVED: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];
/// The registers that pass the first six arguments.
pub(super) const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];
/// More slots than this are not tracked.
const SLOTS_MAX: usize = 64;

/// What holds the header, and where the stack pointer is against its value at the outermost entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    header: u16,
    /// Places on the stack that hold the header, in bytes from the outermost entry's stack pointer.
    slots: Vec<i32>,
    pub(super) sp: Option<i32>,
    frame: Option<i32>,
}

fn bit(register: Register) -> u16 {
    let full = register.full_register();
    if full.is_gpr64() { 1 << full.number() } else { 0 }
}

impl Values {
    /// At a function's entry: the header is in these arguments.
    pub(super) fn at_entry(arguments: u8, sp: Option<i32>) -> Self {
        let passed = (0..).zip(ARGUMENTS).filter(|&(place, _)| arguments & 1 << place != 0);
        let header = passed.fold(0, |bits, (_, register)| bits | bit(register));
        Self { header, slots: Vec::new(), sp, frame: None }
    }

    pub(super) fn holds_header(&self, register: Register) -> bool {
        register.is_gpr64() && self.header & bit(register) != 0
    }

    /// Which of the arguments hold the header, as bits.
    pub(super) fn arguments(&self) -> u8 {
        (0..)
            .zip(ARGUMENTS)
            .filter(|&(_, register)| self.holds_header(register))
            .fold(0, |bits, (place, _)| bits | 1 << place)
    }

    /// Keeps what both agree on. Whether anything changed.
    pub(super) fn meet(&mut self, other: &Self) -> bool {
        let before = self.clone();
        self.header &= other.header;
        self.slots.retain(|slot| other.slots.contains(slot));
        self.sp = self.sp.filter(|_| self.sp == other.sp);
        self.frame = self.frame.filter(|_| self.frame == other.frame);
        *self != before
    }

    /// After a call returned, or in the landing pad of one that unwound.
    pub(super) fn after_call(&mut self) {
        CALLER_SAVED.into_iter().for_each(|register| self.header &= !bit(register));
    }

    /// After any instruction but a call.
    pub(super) fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let moved = self.moved(instruction);
        let (stack, frame) = self.stack_after(instruction);
        let pushed = instruction.mnemonic() == Mnemonic::Push && moved;
        let stored = (instruction.op0_kind() == OpKind::Memory).then(|| self.slot(instruction)).flatten();
        for used in info.info(instruction).used_registers() {
            if matches!(
                used.access(),
                OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
            ) {
                self.header &= !bit(used.register());
            }
        }
        (self.sp, self.frame) = (stack, frame);
        if let Some(slot) = stored {
            self.slots.retain(|&known| known != slot);
        }
        if !moved {
            return;
        }
        if pushed {
            self.keep(self.sp);
        } else if instruction.op0_kind() == OpKind::Register {
            self.header |= bit(instruction.op0_register());
        } else {
            self.keep(stored);
        }
    }

    fn keep(&mut self, slot: Option<i32>) {
        if let Some(slot) = slot.filter(|_| self.slots.len() < SLOTS_MAX) {
            self.slots.push(slot);
        }
    }

    /// Whether the instruction copies the header to its destination.
    fn moved(&self, instruction: &Instruction) -> bool {
        let source = if instruction.mnemonic() == Mnemonic::Push { 0 } else { 1 };
        match (instruction.mnemonic(), instruction.op_kind(source)) {
            (Mnemonic::Mov | Mnemonic::Push, OpKind::Register) => self.holds_header(instruction.op_register(source)),
            (Mnemonic::Mov, OpKind::Memory) => {
                instruction.op0_register().is_gpr64()
                    && self.slot(instruction).is_some_and(|slot| self.slots.contains(&slot))
            }
            _ => false,
        }
    }

    /// The place on the stack that a memory operand names.
    fn slot(&self, instruction: &Instruction) -> Option<i32> {
        if instruction.memory_index() != Register::None {
            return None;
        }
        let base = match instruction.memory_base() {
            Register::RSP => self.sp?,
            Register::RBP => self.frame?,
            _ => return None,
        };
        base.checked_add(i32::try_from(instruction.memory_displacement64() as i64).ok()?)
    }

    /// The stack pointer, and RBP where it is a frame pointer, after the instruction.
    fn stack_after(&self, instruction: &Instruction) -> (Option<i32>, Option<i32>) {
        let changed = instruction.op0_kind() == OpKind::Register;
        let to = if changed { instruction.op0_register() } else { Register::None };
        let immediate = || i32::try_from(instruction.immediate(1) as i64).ok();
        match (instruction.mnemonic(), to) {
            (Mnemonic::Mov, Register::RBP)
                if instruction.op1_kind() == OpKind::Register && instruction.op1_register() == Register::RSP =>
            {
                (self.sp, self.sp)
            }
            (Mnemonic::Mov, Register::RSP) => (None, self.frame),
            (Mnemonic::Lea, Register::RSP) => (self.slot(instruction), self.frame),
            (Mnemonic::Add, Register::RSP) => {
                (self.sp.zip(immediate()).and_then(|(sp, by)| sp.checked_add(by)), self.frame)
            }
            (Mnemonic::Sub, Register::RSP) => {
                (self.sp.zip(immediate()).and_then(|(sp, by)| sp.checked_sub(by)), self.frame)
            }
            (Mnemonic::And, Register::RSP) => (None, self.frame),
            _ => {
                let moved = self.sp.and_then(|sp| sp.checked_add(instruction.stack_pointer_increment()));
                let frame = if to == Register::RBP { None } else { self.frame };
                (moved, frame)
            }
        }
    }
}
