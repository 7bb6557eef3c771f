//! System calls in code: where one is made with a number that is known, and the instruction behind it.
//!
//! The kernel changes no register in a call but RAX, which gets the result, RCX and R11. So its arguments
//! are still in place behind it, as long as no instruction in between writes them.
//! <https://github.com/torvalds/linux/blob/v6.12/arch/x86/entry/entry_64.S#L50-L86>

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use probe_common::config::Call;

use super::{
    code::{Body, Code},
    entry, is_emulated,
};
use crate::image::elf::ElfFunction;

/// `syscall`
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// Between a call and its hook there are no more instructions than this.
const BEHIND_MAX: usize = 4;
/// The registers that a hook behind a call reads.
const READ_BEHIND: [Register; 5] = [Register::RAX, Register::RDI, Register::RSI, Register::RDX, Register::R10];

/// A place at which a system call can be seen.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The kind of call.
    pub call: Call,
    /// The instruction for the probe; its arguments, and but for [`Call::Close`] its result, are in their
    /// registers there.
    pub at: Instruction,
}

/// The findings in a file.
#[derive(Clone, Debug, Default)]
pub struct SyscallSites {
    /// The places at which calls can be seen.
    pub sites: Vec<Site>,
    /// The count of calls whose number comes from elsewhere.
    pub unknown: usize,
    /// The count of calls that are known, but have no instruction behind them that a probe could sit on.
    pub unseen: usize,
}

/// All calls that matter, of all functions.
#[must_use]
pub fn find(code: &Code<'_, '_>) -> SyscallSites {
    let makes_calls = |function: &&ElfFunction| {
        let bytes = code.elf.bytes(function.start, function.len);
        bytes.windows(SYSCALL.len()).any(|window| window == SYSCALL)
    };
    let mut found = SyscallSites::default();
    for function in code.elf.functions().iter().filter(makes_calls) {
        if let Some(body) = code.glance(function) {
            in_function(code, &body, &mut found);
        }
    }
    found
}

fn in_function(code: &Code<'_, '_>, body: &Body, found: &mut SyscallSites) {
    let calls = calls(body);
    found.unknown += calls.iter().filter(|(_, number)| number.is_none()).count();
    for &(at, number) in &calls {
        let Some(call) = number.and_then(Call::of) else { continue };
        let site = if call == Call::Close { before(code, body, at, &calls) } else { behind(body, at) };
        match site {
            Some(at) => found.sites.push(Site { call, at }),
            None => found.unseen += 1,
        }
    }
}

/// The calls by their places in the function, each with its number where that is a constant on the way
/// there.
fn calls(body: &Body) -> Vec<(usize, Option<u64>)> {
    let mut number = None;
    let mut calls = Vec::new();
    for (place, instruction) in body.instructions.iter().enumerate() {
        if body.is_jumped_to(instruction.ip()) {
            number = None;
        }
        if instruction.mnemonic() == Mnemonic::Syscall {
            calls.push((place, number.take()));
        } else if let Some(constant) = constant_in_rax(instruction) {
            number = Some(constant);
        } else if writes(instruction, &[Register::RAX]) || leaves(instruction) {
            number = None;
        }
    }
    calls
}

fn constant_in_rax(instruction: &Instruction) -> Option<u64> {
    let is_rax = |operand| {
        instruction.op_kind(operand) == OpKind::Register
            && matches!(instruction.op_register(operand), Register::RAX | Register::EAX)
    };
    let immediate =
        matches!(instruction.op1_kind(), OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64);
    match instruction.mnemonic() {
        Mnemonic::Mov if is_rax(0) && immediate => Some(instruction.immediate(1)),
        Mnemonic::Xor | Mnemonic::Sub if is_rax(0) && is_rax(1) => Some(0),
        _ => None,
    }
}

/// Returns `true` if what stands behind the instruction is not reached from it alone, or with other registers.
fn leaves(instruction: &Instruction) -> bool {
    !matches!(instruction.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch)
}

fn writes(instruction: &Instruction, registers: &[Register]) -> bool {
    let mut info = InstructionInfoFactory::new();
    info.info(instruction).used_registers().iter().any(|used| {
        let written =
            !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess | OpAccess::None);
        written && registers.contains(&used.register().full_register())
    })
}

/// The cheapest instruction behind the call: one that the kernel emulates, else the very next.
fn behind(body: &Body, call: usize) -> Option<Instruction> {
    let reached_only_by_it = |instruction: &&Instruction| !body.is_jumped_to(instruction.ip());
    let following = body.instructions.get(call + 1..)?.iter().take(BEHIND_MAX).take_while(reached_only_by_it);
    let mut next = None;
    for instruction in following {
        next = next.or(Some(*instruction));
        if is_emulated(instruction) {
            return Some(*instruction);
        }
        if leaves(instruction) || instruction.flow_control() != FlowControl::Next || writes(instruction, &READ_BEHIND) {
            break;
        }
    }
    next
}

/// The instruction at which the descriptor that a `close` is about to end can be seen: afterwards, another thread
/// may have it again. At the entry of a function that does nothing else with its first argument, or at the
/// instruction before the call.
fn before(code: &Code<'_, '_>, body: &Body, call: usize, calls: &[(usize, Option<u64>)]) -> Option<Instruction> {
    let only_closes = calls.iter().all(|&(_, number)| number == Some(3));
    let first = calls.first()?.0;
    let straight = body.instructions.iter().take(first);
    let passes_on = straight.clone().all(|instruction| {
        !body.is_jumped_to(instruction.ip()) && !leaves(instruction) && !writes(instruction, &[Register::RDI])
    });
    if only_closes && passes_on {
        return entry::cheapest(code, body.function.start, Register::RDI);
    }
    let before = body.instructions.get(call.checked_sub(1)?)?;
    let call_is_jumped_to = body.is_jumped_to(body.instructions[call].ip());
    let usable = !call_is_jumped_to
        && before.flow_control() == FlowControl::Next
        && !writes(before, &[Register::RDI])
        && before.mnemonic() != Mnemonic::Syscall;
    usable.then_some(*before)
}
