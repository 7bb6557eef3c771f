//! The turns of the runtime's drivers: the functions in which they wake whoever waits for them, found by symbol, and
//! where these have returned.
//!
//! A return instruction has to be stepped, many times as slow as others. The code that a function returns to is
//! known, as its callers are: the first instruction there that the kernel emulates, before anything else is called,
//! shows by the stack pointer that the turn is over.

use std::collections::BTreeSet;

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};
use probe_common::config::{Driver, TurnCookie};

use super::{
    plan::Program,
    plan_builder::Builder,
    sites::{self, Callers},
    symbols::Symbols,
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::{Body, Code, Target},
        entry, is_emulated,
    },
    image::elf::ElfFunction,
};
use asyncscope_trace::facts::{self, MissingReason, Proof, ReturnUnproved, Sees};

/// Functions that return right after the turn does, and in turn those that call them, are followed so far.
const DEPTH_MAX: u8 = 6;
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/io/driver.rs#L155-L217>,
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/time/mod.rs#L255-L292>,
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.38.2/tokio/src/runtime/time/mod.rs#L313-L360>
const TURNS: [(Driver, &[&str]); 2] = [
    (Driver::Io, &["::runtime::io::driver::Driver::turn", "::runtime::io::Driver::turn"]),
    (Driver::Time, &["::process_at_time", "::process_at_sharded_time"]),
];

/// Places what sees the turns. A panic that leaves one must be seen as well.
pub(super) fn place(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>, symbols: &Symbols) {
    let sees_panics = builder.placements.iter().any(|placement| placement.program == Program::PanicStart);
    if !sees_panics {
        return builder.missing(Sees::Turn, MissingReason::TurnsNeedPanics);
    }
    let mut callers = None;
    for (driver, names) in TURNS {
        let functions = symbols.ending(names);
        if functions.is_empty() {
            builder.missing(Sees::Turn, MissingReason::NoTurn { driver: driver.into() });
        }
        for function in functions {
            let callers = callers.get_or_insert_with(|| Callers::new(code.elf));
            place_one(builder, &Calls { code, callers }, function, driver);
        }
    }
}

fn place_one(builder: &mut Builder<'_, '_>, calls: &Calls<'_, '_, '_>, function: ElfAddr, driver: Driver) {
    let named = facts::Driver::from(driver);
    let found = calls.of_turn(function);
    let entry = entry::cheapest(calls.code, function, Register::RSP);
    match (entry, found) {
        (Some(entry), Ok(returned)) => {
            let cookie = TurnCookie::Begins(driver).pack();
            builder.place(Program::Turn, &entry, cookie, Sees::Turn, Proof::TurnEntry { driver: named });
            for instruction in returned {
                let cookie = TurnCookie::HasReturned.pack();
                builder.place(Program::Turn, &instruction, cookie, Sees::Turn, Proof::TurnReturn { driver: named });
            }
        }
        (None, _) => builder.missing(Sees::Turn, MissingReason::TurnUndecodable { driver: named }),
        (_, Err(reason)) => builder.missing(Sees::Turn, MissingReason::TurnReturnUnproved { driver: named, reason }),
    }
}

/// The calls between functions.
struct Calls<'a, 'e, 'data> {
    code: &'a Code<'e, 'data>,
    callers: &'a Callers,
}

/// Instructions of which one runs right after each return of the function, or why they are not known.
#[cfg(test)]
pub(crate) fn returned(code: &Code<'_, '_>, function: ElfAddr) -> Result<Vec<ElfAddr>, ReturnUnproved> {
    let callers = Callers::new(code.elf);
    let found = Calls { code, callers: &callers }.of_turn(function)?;
    Ok(found.iter().map(|instruction| ElfAddr(instruction.ip())).collect())
}

/// The instructions that a turn returns to.
#[derive(Default)]
struct TurnReturns {
    instructions: Vec<Instruction>,
    /// The functions whose callers were asked for.
    functions: BTreeSet<ElfAddr>,
    /// The places of the pointers by which they are called.
    through: BTreeSet<ElfAddr>,
}

impl Calls<'_, '_, '_> {
    /// Instructions of which one runs right after each return of the function.
    fn of_turn(&self, function: ElfAddr) -> Result<Vec<Instruction>, ReturnUnproved> {
        let mut found = TurnReturns::default();
        self.returns(function, 0, &mut found)?;
        let elf = self.code.elf;
        let is_elsewhere = |place: &ElfAddr| {
            !found.through.contains(place) && elf.pointer(*place).is_some_and(|to| found.functions.contains(&to))
        };
        if !sites::loads(self.code, &found.functions).is_empty() || elf.pointer_places().any(|at| is_elsewhere(&at)) {
            return Err(ReturnUnproved::CalledByAddress);
        }
        Ok(found.instructions)
    }

    fn returns(&self, function: ElfAddr, depth: u8, to: &mut TurnReturns) -> Result<(), ReturnUnproved> {
        if depth > DEPTH_MAX {
            return Err(ReturnUnproved::TooDeep);
        }
        if !to.functions.insert(function) {
            return Ok(());
        }
        let mut callers = self.callers.of(self.code, function);
        if callers.is_empty() || callers.len() >= sites::CALLERS_MAX {
            return Err(ReturnUnproved::Callers { callers: callers.len(), function: function.0 });
        }
        callers.extend(self.neighbours(function));
        for caller in callers {
            let Some(body) = self.code.body(caller) else { continue };
            for (index, instruction) in body.instructions.iter().enumerate() {
                if self.code.target(instruction) != Target::Known(function) {
                    continue;
                }
                if instruction.is_ip_rel_memory_operand() {
                    to.through.insert(ElfAddr(instruction.ip_rel_memory_address()));
                }
                match instruction.flow_control() {
                    FlowControl::Call | FlowControl::IndirectCall => self.after(&body, index + 1, depth, to)?,
                    _ => self.returns(caller, depth + 1, to)?, // it returns to where its caller would
                }
            }
        }
        Ok(())
    }

    /// The functions so near that a jump of two bytes may lead from them to this one.
    fn neighbours(&self, function: ElfAddr) -> impl Iterator<Item = ElfAddr> + '_ {
        const REACH: u64 = 0x82;
        let (from, to) = (function.0.saturating_sub(REACH), function.0.saturating_add(REACH));
        let is_near =
            move |other: &&ElfFunction| other.start.0 <= to && other.start.0.saturating_add(other.len) >= from;
        self.code.elf.functions().iter().filter(is_near).map(|near| near.start).filter(move |near| *near != function)
    }

    /// Adds the first instruction from `index` on that can be hooked at little cost, or that goes elsewhere.
    fn after(&self, body: &Body, index: usize, depth: u8, to: &mut TurnReturns) -> Result<(), ReturnUnproved> {
        for instruction in body.instructions.get(index..).unwrap_or_default() {
            match instruction.flow_control() {
                FlowControl::Return => return self.returns(body.function.start, depth + 1, to),
                FlowControl::Next if !is_emulated(instruction) => {}
                _ => {
                    to.instructions.push(*instruction);
                    return Ok(());
                }
            }
            if lowers_stack(instruction) {
                break;
            }
        }
        Err(ReturnUnproved::NotFollowed { function: body.function.start.0 })
    }
}

/// Returns `true` if it may make room on the stack: what follows would look as if it lay in the turn.
fn lowers_stack(instruction: &Instruction) -> bool {
    let is_written = instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RSP;
    is_written && !matches!(instruction.mnemonic(), Mnemonic::Add | Mnemonic::Cmp | Mnemonic::Test)
}
