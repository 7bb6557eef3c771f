//! The cheapest instruction at which a function's entry can be seen.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register};

use super::{code::Code, is_emulated};
use crate::addr::ElfAddr;

/// The entry's straight-line code is not looked at further than this.
const LOOKED_AT: usize = 16;

/// The first emulated instruction of the entry, while the `argument` register still holds what the
/// caller passed and the stack pointer stands as at the entry; else the first instruction. Every call
/// runs it once. `None` if the function cannot be decoded.
#[must_use]
pub fn cheapest(code: &Code<'_, '_>, function: ElfAddr, argument: Register) -> Option<Instruction> {
    let body = code.body(function)?;
    let first = *body.instructions.first()?;
    let mut info = InstructionInfoFactory::new();
    for instruction in body.instructions.iter().take(LOOKED_AT) {
        // What is jumped to runs more often than the entry.
        if instruction.ip() != first.ip() && body.is_jumped_to(instruction.ip()) {
            break;
        }
        if is_emulated(instruction) {
            return Some(*instruction);
        }
        let changes = info.info(instruction).used_registers().iter().any(|used| {
            let written =
                !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None);
            written && (used.register().full_register() == argument || used.register().full_register() == Register::RSP)
        });
        if changes || instruction.flow_control() != FlowControl::Next {
            break;
        }
    }
    Some(first)
}
