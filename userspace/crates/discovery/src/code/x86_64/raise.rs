//! The function in which a panic of Rust starts to unwind, by what it makes: an exception of Rust's own class.
//! <https://github.com/rust-lang/rust/blob/1.95.0/library/panic_unwind/src/gcc.rs#L61-L80>

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::code::{Body, Code};
use crate::{addr::ElfAddr, image::elf::ElfFunction};

/// Rust's class of exceptions.
/// <https://github.com/rust-lang/rust/blob/1.95.0/library/panic_unwind/src/gcc.rs#L120-L124>
const CLASS: [u8; 8] = *b"MOZ\0RUST";
/// The class is stored no further behind its load.
const REACH: usize = 8;

/// The functions that make such exceptions.
#[must_use]
pub fn find(code: &Code<'_, '_>) -> Vec<ElfAddr> {
    let functions = code.elf.functions().iter().filter(|function| may_raise(code, function));
    let bodies = functions.filter_map(|function| code.glance(function));
    bodies.filter(|body| raises(body)).map(|body| body.function.start).collect()
}

/// A cheap look before decoding.
fn may_raise(code: &Code<'_, '_>, function: &ElfFunction) -> bool {
    code.elf.bytes(function.start, function.len).windows(CLASS.len()).any(|window| window == CLASS)
}

/// Returns `true` if it stores the class. Those that only catch compare with it.
fn raises(body: &Body) -> bool {
    body.instructions.iter().enumerate().any(|(at, load)| {
        let loads = load.mnemonic() == Mnemonic::Mov
            && load.op1_kind() == OpKind::Immediate64
            && load.immediate64() == u64::from_le_bytes(CLASS);
        loads && body.instructions[at + 1..].iter().take(REACH).any(|next| stores(next, load.op0_register()))
    })
}

fn stores(instruction: &Instruction, register: Register) -> bool {
    instruction.mnemonic() == Mnemonic::Mov
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_kind() == OpKind::Register
        && instruction.op1_register() == register
}
