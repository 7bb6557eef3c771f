//! Binds of new tasks to their runtimes (`OwnedTasks::bind_inner`, wherever it was inlined), found by what
//! they do to the task's header: they store `owner_id`, and read the id through the vtable's
//! `id_offset`.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/list.rs#L131-L159>
//!
//! Before the list was split into shards the id was not read. There, the function makes the task (it
//! loads a task vtable's address), stores its list's own number as `owner_id`, and takes the list's lock.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.28.2/tokio/src/runtime/task/list.rs#L84-L117>

use std::collections::BTreeSet;

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::{
    code::{Body, Code, loaded_address},
    is_emulated,
    values::is_write,
};
use crate::{addr::ElfAddr, image::elf::ElfFunction};

const OWNER_ID: u64 = 0x18;
const VTABLE: u64 = 0x10;
/// Seven functions and two offsets before it.
const ID_OFFSET: u64 = 0x48;
/// The number of the value that RSI holds at a function's start.
const RSI_AT_ENTRY: u32 = 6;

/// An instruction that runs once for each task that is bound there, with the header in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The function it stands in.
    pub function: ElfAddr,
    /// The instruction.
    pub at: Instruction,
    /// The register with the header's address.
    pub header: Register,
    /// Set if the header was the function's second argument, as it is of `bind_inner` itself.
    pub second_argument: bool,
}

/// All places where tasks are bound, given where the task vtables lie.
#[must_use]
pub fn find(code: &Code<'_, '_>, vtables: &BTreeSet<ElfAddr>) -> Vec<Bind> {
    let functions = code.elf.functions().iter().filter(|function| may_bind(code, function));
    let bodies = functions.filter_map(|function| code.glance(function));
    bodies.flat_map(|body| binds(&body, loads_any(code, &body, vtables))).collect()
}

fn loads_any(code: &Code<'_, '_>, body: &Body, of: &BTreeSet<ElfAddr>) -> bool {
    let mut addresses = body.instructions.iter().filter_map(|instruction| loaded_address(code.elf, instruction));
    addresses.any(|address| of.contains(&address))
}

/// A cheap look before decoding: a store at 0x18 from a register, and a 64-bit load at 0x48 or a
/// locked exchange of a byte or a 32-bit word.
fn may_bind(code: &Code<'_, '_>, function: &ElfFunction) -> bool {
    let bytes = code.elf.bytes(function.start, function.len);
    let has = |opcode: u8, displacement: u8| {
        bytes.windows(5).any(|w| {
            // With RSP or R12 as the base there is one byte more.
            let at = if w[2] & 7 == 4 { 4 } else { 3 };
            w[0] & 0xf8 == 0x48 && w[1] == opcode && w[2] & 0xc0 == 0x40 && w[at] == displacement
        })
    };
    let exchanges = |opcode: &[u8]| opcode[0] == 0x0f && opcode[1] & 0xfe == 0xb0;
    let locks = || bytes.windows(4).any(|w| w[0] == 0xf0 && (exchanges(&w[1..3]) || exchanges(&w[2..4])));
    has(0x89, OWNER_ID as u8) && (has(0x8b, ID_OFFSET as u8) || locks())
}

/// The content of a register: a value not known otherwise, by number, or something loaded through one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegisterValue {
    Plain(u32),
    VtableOf(u32),
    IdOffsetOf(u32),
}

/// Straight-line code, followed from its start.
struct Line {
    registers: [RegisterValue; 16],
    next: u32,
    owner_of: Vec<u32>,
    id_of: Vec<u32>,
    /// Values that were loaded from a field of another: by number, both.
    field_of: Vec<(u32, u32)>,
    /// Headers whose owner was a field of this value: by number, both.
    owned_by: Vec<(u32, u32)>,
    /// Values that point into an array that another points to: by number, both.
    element_of: Vec<(u32, u32)>,
    makes_tasks: bool,
}

/// `makes_tasks`: the function loads the address of a task vtable.
fn binds(body: &Body, makes_tasks: bool) -> Vec<Bind> {
    let mut info = InstructionInfoFactory::new();
    let mut found = Vec::new();
    let mut line = Line::new(0, makes_tasks);
    let (mut header, mut chosen) = (None, Chosen::default());
    // The instruction that completes the signature, where the one to be hooked comes only later.
    let mut completing: Option<Bind> = None;
    for instruction in &body.instructions {
        let line_ends = instruction.flow_control() != FlowControl::Next;
        // From here on code runs that binds nothing, too. A function's entry runs once for its binds.
        let is_own = |number: &u32| *number == RSI_AT_ENTRY || !body.is_jumped_to(instruction.ip());
        let (before, reached) = (header, header.filter(is_own));
        if let Some(number) = before
            && (reached.is_none() || line_ends || is_emulated(instruction))
        {
            let here = reached.and_then(|_| line.bind(body.function.start, instruction, number));
            found.extend(here.or(completing.take()));
            header = None;
        }
        if line_ends {
            line = Line::new(line.next, makes_tasks);
            let equal = std::mem::take(&mut chosen).equal_after(instruction);
            if let Some((one, other)) = equal.filter(|_| !body.is_jumped_to(instruction.next_ip())) {
                line.registers[one.number()] = line.registers[other.number()];
            }
            continue;
        }
        chosen.step(instruction, &mut info);
        let registers = line.registers;
        if let Some(number) = line.step(instruction, &mut info) {
            // A `lock` prefix bears no hook.
            let bears = !instruction.has_lock_prefix() && is_own(&number);
            let here = bind_by(&registers, body.function.start, instruction, number).filter(|_| bears);
            completing = completing.filter(|_| header == Some(number)).or(here);
            header = Some(number);
        }
    }
    found
}

/// The hook at an instruction before which the registers hold these values, if one holds the header.
fn bind_by(registers: &[RegisterValue; 16], function: ElfAddr, at: &Instruction, number: u32) -> Option<Bind> {
    let place = registers.iter().position(|&value| value == RegisterValue::Plain(number))?;
    let header = Register::RAX + place as u32;
    Some(Bind { function, at: *at, header, second_argument: number == RSI_AT_ENTRY })
}

/// A register that was made another's copy, or else 0: a new allocation's address, checked for failure,
/// can stand in two registers.
#[derive(Default)]
struct Chosen {
    zeroed: Vec<Register>,
    copy: Option<(Register, Register)>,
    is_tested: bool,
}

impl Chosen {
    /// One instruction of straight-line code on.
    fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) {
        let operands = (instruction.op0_register(), instruction.op1_register());
        let was_zero = self.zeroed.contains(&operands.0);
        for used in info.info(instruction).used_registers().iter().filter(|used| is_write(used.access())) {
            let written = used.register().full_register();
            self.zeroed.retain(|&register| register != written);
            self.copy = self.copy.filter(|&(one, other)| one != written && other != written);
        }
        // The flags are the test's only right after it.
        self.is_tested = false;
        match instruction.mnemonic() {
            Mnemonic::Xor if operands.0 == operands.1 => self.zeroed.push(operands.0.full_register()),
            Mnemonic::Cmove | Mnemonic::Cmovne if was_zero && operands.1.is_gpr64() => self.copy = Some(operands),
            Mnemonic::Test => self.is_tested = self.copy.is_some_and(|(one, _)| operands == (one, one)),
            _ => {}
        }
    }

    /// The two registers that are equal where this jump does not jump, if it is the one for 0.
    fn equal_after(self, jump: &Instruction) -> Option<(Register, Register)> {
        self.copy.filter(|_| self.is_tested && jump.mnemonic() == Mnemonic::Je)
    }
}

impl Line {
    /// Numbers from `next` on have not been given. At a function's start the numbers are the registers'.
    fn new(next: u32, makes_tasks: bool) -> Self {
        let registers = std::array::from_fn(|register| RegisterValue::Plain(next + register as u32));
        let (owner_of, id_of, field_of, owned_by) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { registers, next: next + 16, owner_of, id_of, field_of, owned_by, element_of: Vec::new(), makes_tasks }
    }

    fn value(&self, register: Register) -> Option<RegisterValue> {
        register.is_gpr64().then(|| self.registers[register.number()])
    }

    /// The hook at this instruction, if a register still holds the header.
    fn bind(&self, function: ElfAddr, at: &Instruction, number: u32) -> Option<Bind> {
        bind_by(&self.registers, function, at, number)
    }

    /// One instruction on; the header's number where this one completes the signature.
    fn step(&mut self, instruction: &Instruction, info: &mut InstructionInfoFactory) -> Option<u32> {
        let stored = self.stores_owner(instruction);
        let read = self.reads_id(instruction);
        self.owner_of.extend(stored);
        self.id_of.extend(read);
        self.owned_by.extend(stored.zip(self.owner(instruction)));
        let listed = self.locks_owner(instruction);
        let loaded = self.loaded(instruction);
        let field = self.loaded_field_of(instruction);
        let array = self.element(instruction).filter(|_| instruction.mnemonic() == Mnemonic::Lea);
        for used in info.info(instruction).used_registers() {
            let register = used.register().full_register();
            if is_write(used.access()) && register.is_gpr64() {
                self.registers[register.number()] = RegisterValue::Plain(self.next);
                self.next += 1;
            }
        }
        if let Some(value) = loaded {
            self.registers[instruction.op0_register().number()] = value;
        } else if let (Some(of), Some(RegisterValue::Plain(number))) = (field, self.value(instruction.op0_register())) {
            self.field_of.push((number, of));
        } else if let (Some(of), Some(RegisterValue::Plain(number))) = (array, self.value(instruction.op0_register())) {
            self.element_of.push((number, of));
        }
        if listed.is_some() {
            return listed;
        }
        let complete = |number: &u32| self.owner_of.contains(number) && self.id_of.contains(number);
        stored.into_iter().chain(read).find(complete)
    }

    /// The value that a `mov` into a register brings.
    fn loaded(&self, instruction: &Instruction) -> Option<RegisterValue> {
        if instruction.mnemonic() != Mnemonic::Mov || !instruction.op0_register().is_gpr64() {
            return None;
        }
        match instruction.op1_kind() {
            OpKind::Register => self.value(instruction.op1_register()),
            OpKind::Memory if instruction.memory_index() == Register::None => {
                match (self.value(instruction.memory_base())?, instruction.memory_displacement64()) {
                    (RegisterValue::Plain(header), VTABLE) => Some(RegisterValue::VtableOf(header)),
                    (RegisterValue::VtableOf(header), ID_OFFSET) => Some(RegisterValue::IdOffsetOf(header)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The number of the value whose field a 64-bit `mov` loads.
    fn loaded_field_of(&self, instruction: &Instruction) -> Option<u32> {
        let loads = instruction.mnemonic() == Mnemonic::Mov
            && instruction.op0_register().is_gpr64()
            && instruction.op1_kind() == OpKind::Memory
            && instruction.memory_index() == Register::None;
        match self.value(instruction.memory_base())? {
            RegisterValue::Plain(of) if loads => Some(of),
            _ => None,
        }
    }

    /// The value whose field this instruction stores.
    fn owner(&self, instruction: &Instruction) -> Option<u32> {
        let Some(RegisterValue::Plain(stored)) = self.value(instruction.op1_register()) else { return None };
        self.field_of.iter().find(|&&(field, _)| field == stored).map(|&(_, of)| of)
    }

    /// The array of which a memory operand is an element: `(array,index,8)`.
    fn element(&self, instruction: &Instruction) -> Option<u32> {
        let indexed = instruction.memory_index().is_gpr64()
            && instruction.memory_index_scale() == 8
            && instruction.memory_displacement64() == 0;
        match self.value(instruction.memory_base())? {
            RegisterValue::Plain(array) if indexed => Some(array),
            _ => None,
        }
    }

    /// The header whose owner's lock this instruction takes, or that of a shard of its owner's.
    fn locks_owner(&self, instruction: &Instruction) -> Option<u32> {
        let locks = self.makes_tasks
            && instruction.mnemonic() == Mnemonic::Cmpxchg
            && instruction.has_lock_prefix()
            && (instruction.op1_register().is_gpr8() || instruction.op1_register().is_gpr32());
        if !locks {
            return None;
        }
        let base = match self.value(instruction.memory_base())? {
            RegisterValue::Plain(base) if instruction.memory_index() == Register::None => Some(base),
            _ => None,
        };
        let of = |pairs: &[(u32, u32)], value: u32| pairs.iter().find(|&&(one, _)| one == value).map(|&(_, of)| of);
        let is_first = instruction.memory_displacement64() == 0;
        let element = base.filter(|_| is_first).and_then(|base| of(&self.element_of, base));
        let array = self.element(instruction).or(element);
        let owner = array.and_then(|array| of(&self.field_of, array)).or(base)?;
        self.owned_by.iter().find(|&&(_, by)| by == owner).map(|&(header, _)| header)
    }

    fn stores_owner(&self, instruction: &Instruction) -> Option<u32> {
        let stores = instruction.mnemonic() == Mnemonic::Mov
            && instruction.op0_kind() == OpKind::Memory
            && instruction.op1_kind() == OpKind::Register
            && instruction.op1_register().is_gpr64()
            && instruction.memory_index() == Register::None
            && instruction.memory_displacement64() == OWNER_ID;
        match self.value(instruction.memory_base()) {
            Some(RegisterValue::Plain(header)) if stores => Some(header),
            _ => None,
        }
    }

    /// A read at header + id offset, or that sum itself.
    fn reads_id(&self, instruction: &Instruction) -> Option<u32> {
        let reads = matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Lea)
            && instruction.op_count() == 2
            && instruction.op1_kind() == OpKind::Memory
            && instruction.memory_displacement64() == 0
            && instruction.memory_index_scale() == 1;
        match (self.value(instruction.memory_base())?, self.value(instruction.memory_index())?) {
            (RegisterValue::Plain(header), RegisterValue::IdOffsetOf(of))
            | (RegisterValue::IdOffsetOf(of), RegisterValue::Plain(header))
                if reads && header == of =>
            {
                Some(header)
            }
            _ => None,
        }
    }
}
