//! Exchanges of a task's state word: a task's header followed from a function's argument through
//! registers, the stack and calls, to every `lock cmpxchg` on its first word.
//!
//! What is found here decides only where a probe sits, and every such place is the start of a decoded
//! instruction: a wrong conclusion loses events or costs a trap, it cannot harm. The programs check
//! again, at every hit, that the word belongs to a known task.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    rc::Rc,
};

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::{
    code::{Body, Code, Target, loaded_address},
    table,
    values::Values,
};
use crate::addr::ElfAddr;

/// Calls are followed this deep.
const DEPTH_MAX: u8 = 5;
/// No more functions than this are followed from one root.
const FUNCTIONS_MAX: usize = 256;

/// The instruction after an exchange of a task's state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateExchange {
    /// The instruction itself.
    pub after: Instruction,
    /// The register with the header's address.
    pub header: Register,
    /// The register with the new state word.
    pub new: Register,
    /// The place of the outermost function's return address, in bytes above the stack pointer.
    pub caller: Option<u16>,
    /// Set if the new word is made by clearing the three lowest bits first, as only the transition to
    /// RUNNING does.
    pub starts_running: bool,
    /// Set if the new word is made by flipping RUNNING and COMPLETE and nothing else, as only the transition
    /// that completes a task does.
    pub completes: bool,
    /// Set if it is made by clearing `JOIN_WAKER` and nothing else, as after the `JoinHandle`'s waker was used.
    pub unsets_waker: bool,
}

/// The findings from one root.
#[derive(Debug, Default)]
pub struct Flow {
    /// The exchanges, by address of the instruction after.
    pub exchanges: BTreeMap<u64, StateExchange>,
    /// Instructions by which the root returns: `ret`, and jumps that leave for code that is not followed.
    pub exits: BTreeMap<u64, Instruction>,
    /// The functions that were reached with the header as an argument, the root first.
    pub reached: Vec<ElfAddr>,
    /// The root, and the functions that it becomes by jumping on, as far as they exchange state words.
    pub tail: Vec<ElfAddr>,
    /// All functions that these call, and static addresses that they load.
    pub mentioned: Vec<ElfAddr>,
    visits: HashMap<(ElfAddr, u8), Visit>,
}

/// The way a function was come to with these arguments.
#[derive(Debug)]
struct Visit {
    sp: Option<i32>,
    is_root: bool,
    /// Set if it exchanges a state word, or what it leads to does.
    exchanges: bool,
}

/// Follows the header, passed as these arguments (bit 0: the first), from the root's entry.
#[must_use]
pub fn follow(code: &Code<'_, '_>, root: ElfAddr, arguments: u8) -> Flow {
    let mut flow = Flow::default();
    flow.function(code, root, Values::at_entry(arguments, Some(0)), 0, true);
    flow
}

impl Flow {
    /// The functions that were reached, callers first, and as which of their arguments they have the header.
    pub(super) fn arguments(&self) -> impl Iterator<Item = (ElfAddr, u8)> {
        let of = |&function: &ElfAddr| self.visits.keys().filter(move |key| key.0 == function).copied();
        let mut seen = BTreeSet::new();
        self.reached.iter().flat_map(of).filter(move |&key| seen.insert(key))
    }

    /// `is_root`: a return from this function is one from the root. Whether a state word is exchanged.
    fn function(&mut self, code: &Code<'_, '_>, start: ElfAddr, mut entry: Values, depth: u8, is_root: bool) -> bool {
        let key = (start, entry.arguments());
        if depth > DEPTH_MAX || self.reached.len() >= FUNCTIONS_MAX {
            return false;
        }
        if let Some(known) = self.visit(key, &mut entry, is_root) {
            return known;
        }
        let Some(body) = code.body(start) else { return false };
        self.reached.push(start);
        let mut exchanges = false;
        let states = states(code, &body, entry);
        for (instruction, values) in body.instructions.iter().zip(&states) {
            let Some(values) = values else { continue };
            if let Some(address) = loaded_address(code.elf, instruction) {
                self.mentioned.push(address);
            }
            exchanges |= self.exchange(&body, instruction, values);
            exchanges |= self.leave(code, &body, instruction, values, depth, is_root);
        }
        if let Some(visit) = self.visits.get_mut(&key) {
            visit.exchanges |= exchanges;
        }
        if is_root && (depth == 0 || exchanges) && !self.tail.contains(&start) {
            self.tail.push(start);
        }
        exchanges
    }

    /// Tells if a state word is exchanged there, unless that way there brings something new. A second way at
    /// another depth of the stack makes the depth unknown.
    fn visit(&mut self, key: (ElfAddr, u8), entry: &mut Values, is_root: bool) -> Option<bool> {
        match self.visits.entry(key) {
            Entry::Vacant(new) => {
                new.insert(Visit { sp: entry.sp, is_root, exchanges: false });
                None
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                entry.sp = entry.sp.filter(|_| known.sp == entry.sp);
                if known.sp == entry.sp && (known.is_root || !is_root) {
                    return Some(known.exchanges);
                }
                (known.sp, known.is_root) = (entry.sp, known.is_root | is_root);
                None
            }
        }
    }

    fn exchange(&mut self, body: &Body, instruction: &Instruction, values: &Values) -> bool {
        let on_header = instruction.mnemonic() == Mnemonic::Cmpxchg
            && instruction.has_lock_prefix()
            && instruction.op0_kind() == OpKind::Memory
            && instruction.memory_index() == Register::None
            && instruction.memory_displacement64() == 0
            && instruction.op1_register().is_gpr64()
            && values.holds_header(instruction.memory_base());
        if !on_header {
            return false;
        }
        let Some(index) = body.index_of(instruction.next_ip()) else { return false };
        if body.is_jumped_to(instruction.next_ip()) {
            return false; // it runs without the exchange before it, too
        }
        let exchange = StateExchange {
            after: body.instructions[index],
            header: instruction.memory_base(),
            new: instruction.op1_register(),
            caller: values.sp.and_then(|sp| u16::try_from(-i64::from(sp)).ok()),
            starts_running: starts_running(body, index - 1),
            completes: completes(body, index - 1),
            unsets_waker: unsets_waker(body, index - 1),
        };
        let known = self.exchanges.entry(exchange.after.ip()).or_insert(exchange);
        known.caller = known.caller.filter(|_| known.caller == exchange.caller);
        true
    }

    /// Follows calls and jumps out of the function.
    fn leave(
        &mut self,
        code: &Code<'_, '_>,
        body: &Rc<Body>,
        instruction: &Instruction,
        values: &Values,
        depth: u8,
        is_root: bool,
    ) -> bool {
        let (call, leaves) = match instruction.flow_control() {
            FlowControl::Call | FlowControl::IndirectCall => (true, true),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                (false, !body.contains(instruction.near_branch_target()))
            }
            FlowControl::IndirectBranch => (false, !table::goes_through(instruction)),
            FlowControl::Return => (false, true),
            _ => (false, false),
        };
        if !leaves {
            return false;
        }
        let arguments = values.arguments();
        let target = code.target(instruction);
        if let Target::Known(address) = target {
            self.mentioned.push(address);
        }
        match target {
            Target::Known(address) if arguments != 0 && code.body(address).is_some() => {
                let sp = if call { values.sp.and_then(|sp| sp.checked_sub(8)) } else { values.sp };
                let is_root = is_root && !call;
                self.function(code, address, Values::at_entry(arguments, sp), depth + 1, is_root)
            }
            // A conditional jump is no exit: it may go on.
            _ if is_root && !call && instruction.flow_control() != FlowControl::ConditionalBranch => {
                self.exits.insert(instruction.ip(), *instruction);
                false
            }
            _ => false,
        }
    }
}

/// Returns `true` if the straight-line code before the exchange at `index` masks the three lowest bits away.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L104-L133>
fn starts_running(body: &Body, index: usize) -> bool {
    made_by(body, index).any(|(mnemonic, mask)| mnemonic == Mnemonic::And && mask == !7)
}

/// Returns `true` if it flips the two lowest bits, and does nothing else.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L183-L192>
fn completes(body: &Body, index: usize) -> bool {
    made_by(body, index).eq([(Mnemonic::Xor, 3)])
}

/// Returns `true` if it clears `JOIN_WAKER`, and does nothing else.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L468-L473>
fn unsets_waker(body: &Body, index: usize) -> bool {
    made_by(body, index).eq([(Mnemonic::And, !0x10)])
}

/// The operations with a constant that the straight-line code before the exchange at `index` makes the new word
/// by, the last first.
fn made_by(body: &Body, index: usize) -> impl Iterator<Item = (Mnemonic, i64)> {
    let new = body.instructions[index].op1_register();
    let changes = move |instruction: &Instruction| {
        instruction.op0_kind() == OpKind::Register && instruction.op0_register().full_register() == new
    };
    let sets = move |instruction: &Instruction| {
        changes(instruction) && matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Lea)
    };
    let before = body.instructions[..index].iter().rev();
    let straight = before.take_while(|instruction| instruction.flow_control() == FlowControl::Next).take(8);
    let made =
        straight.take_while(move |instruction| !sets(instruction)).filter(move |instruction| changes(instruction));
    made.map(|instruction| (instruction.mnemonic(), instruction.try_immediate(1).map_or(0, |mask| mask as i64)))
}

/// The values known before each instruction; `None` for code that was not reached.
pub(super) fn states(code: &Code<'_, '_>, body: &Body, entry: Values) -> Vec<Option<Values>> {
    let mut walk = FlowWalk {
        code,
        body,
        info: InstructionInfoFactory::new(),
        states: vec![None; body.instructions.len()],
        elsewhere: None,
    };
    walk.from(0, entry, 0);
    let mut from = 0;
    // Code that no jump reaches is the target of a jump table or a landing pad: what all indirect jumps
    // and all calls leave intact holds there. Where it joins other code, that code is known better.
    for round in 1.. {
        let unreached = walk.states[from..].iter().position(Option::is_none);
        let (Some(on), Some(values)) = (unreached, walk.elsewhere.clone()) else { break };
        from += on;
        walk.from(from, values, round);
    }
    walk.states.into_iter().map(|state| state.map(|(values, _)| values)).collect()
}

/// One function's walk.
struct FlowWalk<'a, 'e, 'data> {
    code: &'a Code<'e, 'data>,
    body: &'a Body,
    info: InstructionInfoFactory,
    /// The values known before each instruction, and the round in which it was reached first.
    states: Vec<Option<(Values, usize)>>,
    /// The values that every call and every jump through a table leaves intact.
    elsewhere: Option<Values>,
}

impl FlowWalk<'_, '_, '_> {
    fn from(&mut self, index: usize, values: Values, round: usize) {
        let mut work = vec![(index, values)];
        while let Some((index, values)) = work.pop() {
            self.straight_on(index, values, round, &mut work);
        }
    }

    /// Runs until what is known is known already.
    fn straight_on(&mut self, mut index: usize, mut values: Values, round: usize, work: &mut Vec<(usize, Values)>) {
        while let Some(state) = self.states.get_mut(index) {
            match state {
                None => *state = Some((values.clone(), round)),
                Some((_, first)) if *first < round => return,
                Some((known, _)) => {
                    if !known.meet(&values) {
                        return;
                    }
                    values = known.clone();
                }
            }
            let instruction = &self.body.instructions[index];
            let jump = || self.body.index_of(instruction.near_branch_target());
            match instruction.flow_control() {
                FlowControl::Next => values.step(instruction, &mut self.info),
                FlowControl::Call | FlowControl::IndirectCall => {
                    values.after_call();
                    meet_into(&mut self.elsewhere, &values);
                    // What follows a panic is reached from elsewhere, if at all.
                    if let Target::Known(called) = self.code.target(instruction)
                        && self.code.never_returns(called)
                    {
                        return;
                    }
                }
                FlowControl::ConditionalBranch => work.extend(jump().map(|to| (to, values.clone()))),
                FlowControl::UnconditionalBranch => {
                    work.extend(jump().map(|to| (to, values)));
                    return;
                }
                FlowControl::IndirectBranch => {
                    let cases = table::cases(self.code.elf, self.body, index);
                    if cases.is_empty() && table::goes_through(instruction) {
                        meet_into(&mut self.elsewhere, &values);
                    }
                    work.extend(cases.into_iter().map(|case| (case, values.clone())));
                    return;
                }
                _ => return,
            }
            let Some(next) = self.body.next(index) else { return };
            index = next;
        }
    }
}

fn meet_into(known: &mut Option<Values>, values: &Values) {
    match known {
        Some(known) => {
            known.meet(values);
        }
        None => *known = Some(values.clone()),
    }
}
