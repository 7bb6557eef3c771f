//! Signs that tell the runtime's own blocking tasks from a program's, where no symbol does.

use std::collections::BTreeSet;

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::{
    code::{Body, Code, Target},
    source,
};
use crate::addr::ElfAddr;

/// No more functions than this are looked at from one root.
const FUNCTIONS_MAX: usize = 1024;
/// The vtable in a task's header, in bytes.
const VTABLE: u64 = 0x10;
/// The distance before a call within which its registers are set.
const REACH: usize = 4;

/// Returns `true` if this `schedule` only panics: that of blocking tasks, which are never scheduled again.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/blocking/schedule.rs#L51-L57>
#[must_use]
pub fn is_never_scheduled(code: &Code<'_, '_>, schedule: ElfAddr) -> bool {
    code.never_returns(schedule)
}

/// The things that a blocking task does with other tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// It runs none.
    None,
    /// It runs tasks, and no source file is named where it does.
    Tasks,
    /// It runs tasks as a worker of the multi-thread scheduler.
    AsWorker,
    /// It runs tasks of another scheduler: of a runtime of its own, or of a `LocalSet`.
    Elsewhere,
}

/// The name of a worker's source file.
const WORKERS_SOURCE: &str = "multi_thread/worker.rs";

/// Tells if code reached from here by direct calls and jumps runs tasks: calls a task's `poll` through its
/// vtable, as a worker's loop does.
#[must_use]
pub fn runs_tasks(code: &Code<'_, '_>, root: ElfAddr) -> Runs {
    let (mut seen, mut work, mut runs) = (BTreeSet::from([root]), vec![root], Runs::None);
    while let Some(function) = work.pop() {
        let Some(body) = code.body(function) else { continue };
        if polls(&body) {
            runs = match (runs, source::of(code, &body)) {
                (_, sources) if sources.iter().any(|file| file.ends_with(WORKERS_SOURCE)) => return Runs::AsWorker,
                (Runs::None | Runs::Tasks, sources) if sources.is_empty() => Runs::Tasks,
                _ => Runs::Elsewhere,
            };
        }
        for target in body.instructions.iter().map(|instruction| code.target(instruction)) {
            if let Target::Known(address) = target
                && seen.len() < FUNCTIONS_MAX
                && !body.contains(address.0)
                && seen.insert(address)
            {
                work.push(address);
            }
        }
    }
    runs
}

fn polls(body: &Body) -> bool {
    let calls = body.instructions.iter().enumerate().filter(|(_, call)| is_first_entry(call));
    calls.into_iter().any(|(at, call)| {
        let before = &body.instructions[at.saturating_sub(REACH)..at];
        header_of(before, call.memory_base()).is_some_and(|header| passes(before, header))
    })
}

/// `call *(%vtable)`, or a jump that ends the function.
fn is_first_entry(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::IndirectCall | FlowControl::IndirectBranch)
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base().is_gpr64()
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == 0
}

/// The register through which the vtable was loaded.
fn header_of(before: &[Instruction], vtable: Register) -> Option<Register> {
    let load = before.iter().rev().find(|instruction| instruction.op0_register() == vtable)?;
    let is_load = load.mnemonic() == Mnemonic::Mov
        && load.op1_kind() == OpKind::Memory
        && load.memory_index() == Register::None
        && load.memory_displacement64() == VTABLE
        && load.memory_base().is_gpr64();
    is_load.then(|| load.memory_base())
}

/// Returns `true` if the header is, or becomes, the first argument.
fn passes(before: &[Instruction], header: Register) -> bool {
    let moved = before.iter().rev().find(|instruction| instruction.op0_register() == Register::RDI);
    match moved {
        Some(moved) => moved.mnemonic() == Mnemonic::Mov && moved.op1_register() == header,
        None => header == Register::RDI,
    }
}
