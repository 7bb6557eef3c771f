//! `State::transition_to_notified_and_cancel`, wherever it was inlined, by its constants: CANCELLED and
//! NOTIFIED set together, with one more reference or without, in a loop around an exchange.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L289-L323>

use std::rc::Rc;

use iced_x86::{Instruction, Mnemonic, OpKind, Register};
use probe_common::record::state::{CANCELLED, NOTIFIED, REF_ONE};

use super::{
    code::{Body, Code, immediate},
    flow::StateExchange,
};
use crate::image::elf::ElfFunction;

/// The loop is not longer than this, on either side of the exchange.
const REACH: usize = 40;

/// The instructions after such exchanges.
#[must_use]
pub fn find(code: &Code<'_, '_>) -> Vec<StateExchange> {
    let functions = code.elf.functions().iter().filter(|function| may_exchange(code, function));
    functions.filter_map(|function| code.glance(function)).flat_map(|body| exchanges(&body)).collect()
}

/// A cheap look before decoding: `lock`, a 64-bit operand, `cmpxchg`.
fn may_exchange(code: &Code<'_, '_>, function: &ElfFunction) -> bool {
    let bytes = code.elf.bytes(function.start, function.len);
    bytes.windows(4).any(|window| window[0] == 0xf0 && window[1] & 0xf8 == 0x48 && window[2..] == [0x0f, 0xb1])
}

fn exchanges(body: &Rc<Body>) -> Vec<StateExchange> {
    let all = body.instructions.iter().enumerate();
    let found = all.filter(|(index, instruction)| is_exchange(instruction) && has_constants(body, *index));
    found.filter_map(|(index, instruction)| after(body, index, instruction)).collect()
}

fn after(body: &Body, index: usize, instruction: &Instruction) -> Option<StateExchange> {
    let after = *body.instructions.get(index + 1)?;
    (!body.is_jumped_to(after.ip())).then(|| StateExchange {
        after,
        header: instruction.memory_base(),
        new: instruction.op1_register(),
        caller: None,
        starts_running: false,
        completes: false,
        unsets_waker: false,
    })
}

fn is_exchange(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Cmpxchg
        && instruction.has_lock_prefix()
        && instruction.op0_kind() == OpKind::Memory
        && instruction.op1_register().is_gpr64()
        && instruction.memory_base().is_gpr64()
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == 0
}

fn has_constants(body: &Body, index: usize) -> bool {
    let around = &body.instructions[index.saturating_sub(REACH)..body.instructions.len().min(index + REACH)];
    let both = CANCELLED | NOTIFIED;
    let sets_both = around.iter().any(|i| i.mnemonic() == Mnemonic::Or && immediate(i) == Some(both));
    let with_reference = around.iter().any(|i| match i.mnemonic() {
        Mnemonic::Lea => i.memory_displacement64() == both + REF_ONE,
        Mnemonic::Add => immediate(i) == Some(both + REF_ONE) || immediate(i) == Some(REF_ONE),
        Mnemonic::Sub => immediate(i).is_some_and(|by| by.wrapping_neg() == REF_ONE),
        _ => false,
    });
    sets_both && with_reference
}
