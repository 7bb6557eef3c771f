//! Functions that put new tasks into a queue without a bind: the blocking pool's, and a `LocalSet`'s. Both
//! functions take the task's header as their second argument, and are told by what they do with it.

use std::{collections::BTreeSet, rc::Rc};

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};
use probe_common::record::state::REF_ONE;

use super::{
    FIRST,
    code::{Body, Code, Target, immediate},
    flow,
    values::{ARGUMENTS, Values},
};
use crate::{addr::ElfAddr, image::elf::ElfFunction};

/// The header is the second argument.
const SECOND: u8 = 2;
/// The vtable in a task's header, in bytes.
const VTABLE: u64 = 0x10;
/// `shutdown` in the vtable: six functions before it.
const SHUTDOWN: u8 = 0x30;
/// The distance behind the load of a vtable within which one of its functions is called.
const REACH: usize = 4;
/// `AtomicWaker` is being woken.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/sync/task/atomic_waker.rs#L124-L131>
const WAKING: u64 = 2;
/// `wake` in the vtable of a waker.
/// <https://doc.rust-lang.org/std/task/struct.RawWakerVTable.html>
const WAKE: u64 = 8;
/// So many calls lie between a `raw::schedule` and the queue, at most.
const CALLS_MAX: u8 = 3;
/// More than these are no pool's: nothing is proved then.
const FOUND_MAX: usize = 4;

/// `Spawner::spawn_task`: once the pool is shut down, it gives one of the task's two references back and
/// calls the task's `shutdown`. `binds` do so too.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/blocking/pool.rs#L400-L420>
#[must_use]
pub fn of_blocking_pool(code: &Code<'_, '_>, binds: &BTreeSet<ElfAddr>) -> Vec<ElfAddr> {
    let functions = code.elf.functions().iter().filter(|function| may_shut_down(code, function));
    let bodies = functions.filter(|function| !binds.contains(&function.start)).filter_map(|f| code.glance(f));
    let found: Vec<_> = bodies.filter(|body| refuses(code, body)).map(|body| body.function.start).collect();
    if found.len() > FOUND_MAX { Vec::new() } else { found }
}

/// The function by which a `LocalSet`'s tasks go into its queue, if this `raw::schedule` is of such tasks, and the
/// register that has the task there: the innermost function of `local::Shared::schedule` that has it as an argument,
/// which all ways to schedule pass. From another thread it wakes the `LocalSet`, which has an
/// `AtomicWaker`.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/task/local.rs#L990-L1040>
#[must_use]
pub fn of_local_set(code: &Code<'_, '_>, schedule: ElfAddr) -> Option<(ElfAddr, Register)> {
    let flow = flow::follow(code, schedule, FIRST);
    let inner = || flow.arguments().filter(|&(function, _)| function != schedule);
    let wakes_itself = |&(function, _): &(ElfAddr, u8)| code.body(function).is_some_and(|body| wakes(&body));
    let calls_one = |&(function, _): &(ElfAddr, u8)| called(code, function).any(|body| wakes(&body));
    let (function, arguments) = inner().find(wakes_itself).or_else(|| inner().filter(calls_one).last())?;
    Some((function, argument(arguments)?))
}

/// Returns `true` if a `raw::schedule` comes to one of these functions by a few direct calls.
#[must_use]
pub fn comes_to(code: &Code<'_, '_>, schedule: ElfAddr, functions: &BTreeSet<ElfAddr>) -> bool {
    let mut level = BTreeSet::from([schedule]);
    (0..CALLS_MAX).any(|_| {
        level = level.iter().flat_map(|&from| called(code, from)).map(|body| body.function.start).collect();
        !level.is_disjoint(functions)
    })
}

/// The functions that this one, with a task as its second argument, hands the task to, itself among them.
#[must_use]
pub fn leads_to(code: &Code<'_, '_>, function: ElfAddr) -> BTreeSet<ElfAddr> {
    flow::follow(code, function, SECOND).reached.into_iter().chain([function]).collect()
}

/// The register of the only argument.
fn argument(arguments: u8) -> Option<Register> {
    arguments.is_power_of_two().then(|| ARGUMENTS.get(arguments.trailing_zeros() as usize).copied())?
}

/// A cheap look before decoding: an indirect call, or a jump, through a word at 0x30.
fn may_shut_down(code: &Code<'_, '_>, function: &ElfFunction) -> bool {
    let bytes = code.elf.bytes(function.start, function.len);
    bytes.windows(2).enumerate().any(|(at, window)| {
        let through = window[0] == 0xff && matches!(window[1] & 0xf8, 0x50 | 0x60);
        // With RSP or R12 as the base there is one byte more.
        through && bytes.get(at + if window[1] & 7 == 4 { 3 } else { 2 }) == Some(&SHUTDOWN)
    })
}

fn refuses(code: &Code<'_, '_>, body: &Body) -> bool {
    let states = flow::states(code, body, Values::at_entry(SECOND, Some(0)));
    let known: Vec<_> = body.instructions.iter().zip(&states).collect();
    known.iter().any(|(instruction, values)| holds(values.as_ref(), |values| gives_back(instruction, values)))
        && (0..known.len()).any(|at| shuts_down(&known[at..known.len().min(at + REACH)]))
}

fn holds(values: Option<&Values>, what: impl Fn(&Values) -> bool) -> bool {
    values.is_some_and(what)
}

/// Returns `true` if it takes one reference from the state word.
fn gives_back(instruction: &Instruction, values: &Values) -> bool {
    let by = match instruction.mnemonic() {
        Mnemonic::Sub => immediate(instruction),
        Mnemonic::Add => immediate(instruction).map(u64::wrapping_neg),
        // Its operand was set before; nothing else is added to a state word so.
        Mnemonic::Xadd => Some(REF_ONE),
        _ => None,
    };
    let on_state = instruction.has_lock_prefix()
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == 0
        && values.holds_header(instruction.memory_base());
    on_state && by == Some(REF_ONE)
}

/// Returns `true` if these instructions load the header's vtable and call its `shutdown` on the header.
fn shuts_down(line: &[(&Instruction, &Option<Values>)]) -> bool {
    let Some(((load, before), rest)) = line.split_first() else { return false };
    let is_load = load.mnemonic() == Mnemonic::Mov
        && load.op0_register().is_gpr64()
        && load.op1_kind() == OpKind::Memory
        && load.memory_index() == Register::None
        && load.memory_displacement64() == VTABLE
        && holds(before.as_ref(), |values| values.holds_header(load.memory_base()));
    let vtable = load.op0_register();
    is_load
        && rest.iter().any(|(call, values)| {
            calls_through(call, vtable, SHUTDOWN.into())
                && holds(values.as_ref(), |values| values.holds_header(Register::RDI))
        })
}

/// `call *offset(%table)`, or a jump there.
fn calls_through(instruction: &Instruction, table: Register, offset: u64) -> bool {
    matches!(instruction.flow_control(), FlowControl::IndirectCall | FlowControl::IndirectBranch)
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_base() == table
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == offset
}

/// The functions that this one calls directly, or jumps to.
fn called(code: &Code<'_, '_>, function: ElfAddr) -> impl Iterator<Item = Rc<Body>> {
    let body = code.body(function);
    let instructions = body.iter().flat_map(|body| &body.instructions);
    let targets: BTreeSet<ElfAddr> = instructions
        .filter_map(|instruction| match code.target(instruction) {
            Target::Known(address) => Some(address),
            Target::Unknown => None,
        })
        .collect();
    targets.into_iter().filter_map(|address| code.body(address))
}

/// Returns `true` if it wakes an `AtomicWaker`: an exchange of a word for the same with WAKING set, and a call of
/// a waker's `wake`.
fn wakes(body: &Body) -> bool {
    let instructions = &body.instructions;
    let exchange = instructions.windows(2).any(|pair| {
        let [or, exchange] = pair else { return false };
        or.mnemonic() == Mnemonic::Or
            && immediate(or) == Some(WAKING)
            && exchange.mnemonic() == Mnemonic::Cmpxchg
            && exchange.has_lock_prefix()
            && exchange.op1_register() == or.op0_register()
            && exchange.op1_register().is_gpr64()
    });
    let calls_wake =
        |call: &Instruction| call.memory_base().is_gpr64() && calls_through(call, call.memory_base(), WAKE);
    exchange && instructions.iter().any(calls_wake)
}
