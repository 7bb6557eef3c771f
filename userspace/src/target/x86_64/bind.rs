//! `OwnedTasks::bind_inner`, by what it does to the new task's header: it stores `owner_id`, and reads
//! the id through the vtable's `id_offset`.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/list.rs#L131-L159>

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::target::{
    addr::ElfAddr,
    elf::{Elf, Function},
};

/// The id is read within the first instructions.
const LOOKED_AT: usize = 48;
const OWNER_ID: u64 = 0x18;
const VTABLE: u64 = 0x10;
/// Seven functions and two offsets before it.
const ID_OFFSET: u64 = 0x48;

/// All functions of that signature: header in the second argument.
#[must_use]
pub fn find(elf: &Elf<'_>) -> Vec<ElfAddr> {
    elf.functions().iter().filter(|function| binds(elf, **function)).map(|function| function.start).collect()
}

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Other,
    Header,
    Vtable,
    IdOffset,
}

fn binds(elf: &Elf<'_>, function: Function) -> bool {
    let bytes = elf.bytes(function.start, function.len.min(15 * LOOKED_AT as u64));
    let mut registers = [Value::Other; 16];
    registers[Register::RSI.number()] = Value::Header;
    let (mut owner_set, mut id_read) = (false, false);
    for instruction in Decoder::with_ip(64, bytes, function.start.0, DecoderOptions::NONE).into_iter().take(LOOKED_AT) {
        if instruction.is_invalid() || instruction.flow_control() != FlowControl::Next {
            break;
        }
        owner_set |= stores_owner(&instruction, &registers);
        id_read |= reads_id(&instruction, &registers);
        if owner_set && id_read {
            return true;
        }
        step(&instruction, &mut registers);
    }
    false
}

fn value(registers: &[Value; 16], register: Register) -> Value {
    if register.is_gpr64() { registers[register.number()] } else { Value::Other }
}

fn stores_owner(instruction: &Instruction, registers: &[Value; 16]) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_kind() == OpKind::Register
        && instruction.op1_register().is_gpr64()
        && value(registers, instruction.memory_base()) == Value::Header
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == OWNER_ID
}

/// A read at header + id offset, or that sum itself.
fn reads_id(instruction: &Instruction, registers: &[Value; 16]) -> bool {
    let pair = (value(registers, instruction.memory_base()), value(registers, instruction.memory_index()));
    matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Lea)
        && instruction.op1_kind() == OpKind::Memory
        && matches!(pair, (Value::Header, Value::IdOffset) | (Value::IdOffset, Value::Header))
        && instruction.memory_displacement64() == 0
}

fn step(instruction: &Instruction, registers: &mut [Value; 16]) {
    if instruction.op_count() == 0 || instruction.op0_kind() != OpKind::Register {
        return;
    }
    let to = instruction.op0_register().full_register();
    if !to.is_gpr64() || matches!(instruction.mnemonic(), Mnemonic::Push | Mnemonic::Cmp | Mnemonic::Test) {
        return;
    }
    registers[to.number()] = match (instruction.mnemonic(), instruction.op_kind(1)) {
        (Mnemonic::Mov, OpKind::Register) => value(registers, instruction.op1_register()),
        (Mnemonic::Mov, OpKind::Memory) if instruction.memory_index() == Register::None => {
            match (value(registers, instruction.memory_base()), instruction.memory_displacement64()) {
                (Value::Header, VTABLE) => Value::Vtable,
                (Value::Vtable, ID_OFFSET) => Value::IdOffset,
                _ => Value::Other,
            }
        }
        _ => Value::Other,
    };
}
