//! Registers and stack slots at one instruction, as far as they are known to hold the header.

use iced_x86::{Instruction, InstructionInfo, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

/// The registers that a called function may change (System V ABI).
pub(crate) const CALLER_SAVED: [Register; 9] = [
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
pub(crate) const ARGUMENTS: [Register; 6] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9];
/// More slots than this are not tracked.
const SLOTS_MAX: usize = 64;

/// The holders of the header, and the place of the stack pointer against its value at the outermost entry.
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

pub(crate) fn is_write(access: OpAccess) -> bool {
    !matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None)
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

    /// The arguments that hold the header, as bits.
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
        if let Some(sp) = self.sp {
            self.slots.retain(|&slot| slot >= sp); // below lay the called function's frame
        }
    }

    /// After any instruction but a call.
    pub(super) fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let info = info.info(instruction);
        let moved = self.moved(instruction);
        let stored = self.slot(instruction);
        let (stack, frame) = self.stack_after(instruction, info);
        self.forget_written(info);
        (self.sp, self.frame) = (stack, frame);
        match (moved, instruction.mnemonic(), instruction.op0_kind()) {
            (false, ..) => {}
            (true, Mnemonic::Push, _) => self.keep(self.sp),
            (true, _, OpKind::Register) => self.header |= bit(instruction.op0_register()),
            (true, ..) => self.keep(stored),
        }
    }

    /// A store through another pointer is taken to leave spilled registers alone.
    fn forget_written(&mut self, info: &InstructionInfo) {
        for used in info.used_registers().iter().filter(|used| is_write(used.access())) {
            self.header &= !bit(used.register());
        }
        for used in info.used_memory().iter().filter(|used| is_write(used.access())) {
            let base = self.base(used.base()).filter(|_| used.index() == Register::None);
            let Some(from) = base.and_then(|base| i64::from(base).checked_add(used.displacement() as i64)) else {
                continue;
            };
            // A size that depends on the machine's state is stated as 0.
            let len = match used.memory_size().size() {
                0 => i64::MAX,
                len => len as i64,
            };
            let after = from.saturating_add(len);
            self.slots.retain(|&slot| i64::from(slot) >= after || i64::from(slot) + 8 <= from);
        }
    }

    fn keep(&mut self, slot: Option<i32>) {
        if let Some(slot) = slot.filter(|_| self.slots.len() < SLOTS_MAX) {
            self.slots.push(slot);
        }
    }

    /// Returns `true` if the instruction copies the header to its destination.
    fn moved(&self, instruction: &Instruction) -> bool {
        let holds = |slot: Option<i32>| slot.is_some_and(|slot| self.slots.contains(&slot));
        let source = u32::from(!matches!(instruction.mnemonic(), Mnemonic::Push | Mnemonic::Pop));
        match (instruction.mnemonic(), instruction.op_kind(source)) {
            (Mnemonic::Mov | Mnemonic::Push, OpKind::Register) => self.holds_header(instruction.op_register(source)),
            (Mnemonic::Mov, OpKind::Memory) => instruction.op0_register().is_gpr64() && holds(self.slot(instruction)),
            (Mnemonic::Pop, OpKind::Register) => instruction.op0_register().is_gpr64() && holds(self.sp),
            _ => false,
        }
    }

    /// The place on the stack that a memory operand names.
    fn slot(&self, instruction: &Instruction) -> Option<i32> {
        if instruction.memory_index() != Register::None {
            return None;
        }
        let displacement = i32::try_from(instruction.memory_displacement64() as i64).ok()?;
        self.base(instruction.memory_base())?.checked_add(displacement)
    }

    /// The place on the stack that a register points to.
    fn base(&self, register: Register) -> Option<i32> {
        match register {
            Register::RSP => self.sp,
            Register::RBP => self.frame,
            _ => None,
        }
    }

    /// The stack pointer, and RBP where it is a frame pointer, after the instruction.
    fn stack_after(&self, instruction: &Instruction, info: &InstructionInfo) -> (Option<i32>, Option<i32>) {
        let registers =
            |place| (instruction.op_kind(place) == OpKind::Register).then(|| instruction.op_register(place));
        let (to, from) = match instruction.op_count() {
            2 => (registers(0), registers(1)),
            _ => (None, None),
        };
        let immediate = || i32::try_from(instruction.try_immediate(1).ok()? as i64).ok();
        match (instruction.mnemonic(), to, from) {
            (Mnemonic::Mov, Some(Register::RBP), Some(Register::RSP)) => (self.sp, self.sp),
            (Mnemonic::Mov, Some(Register::RSP), Some(Register::RBP)) => (self.frame, self.frame),
            (Mnemonic::Lea, Some(Register::RSP), _) => (self.slot(instruction), self.frame),
            (Mnemonic::Add, Some(Register::RSP), _) => {
                (self.sp.zip(immediate()).and_then(|(sp, by)| sp.checked_add(by)), self.frame)
            }
            (Mnemonic::Sub, Some(Register::RSP), _) => {
                (self.sp.zip(immediate()).and_then(|(sp, by)| sp.checked_sub(by)), self.frame)
            }
            (Mnemonic::Leave, ..) => (self.frame.and_then(|frame| frame.checked_add(8)), None),
            _ => {
                let written = |register: Register, operand: u32| {
                    registers(operand).is_some_and(|named| named.full_register() == register)
                        && is_write(info.op_access(operand))
                };
                let set = |register| (0..instruction.op_count()).any(|operand| written(register, operand));
                let moved = self.sp.and_then(|sp| sp.checked_add(instruction.stack_pointer_increment()));
                (moved.filter(|_| !set(Register::RSP)), self.frame.filter(|_| !set(Register::RBP)))
            }
        }
    }
}
