//! The async body that a task's poll function resumes: found by its state byte, which lies in the task, and by the
//! panic of state 1, which states the body's place.
//!
//! The poll function is followed from its entry, with the header's address in terms of its argument. A byte of the
//! future is a body's state if 1 leads to the panic "resumed after completion", and other numbers do not.

use std::{collections::BTreeSet, ops::Range};

use hashbrown::HashSet;
use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind};

use super::{
    assumed::{self, AssumedEnd},
    code::{Body, Code, Target},
    symbolic::{SymbolicRoot, SymbolicState, SymbolicValue},
    table,
};
use crate::{addr::ElfAddr, image::panic_location::ResumedMessage};

/// Calls are followed this deep.
const DEPTH_MAX: u8 = 8;
/// More instructions than this are not followed from one poll function.
const INSTRUCTIONS_MAX: usize = 60_000;
/// The most that is followed before a first body is found. Of 400 in programs as they are shipped, all were found in
/// 5 000.
const SEARCHED_MAX: usize = 10_000;
/// A closure on the stack that holds the header is not larger.
const CLOSURE_MAX: i64 = 64;
/// Of a function that gets no `Context` no more instructions are followed.
const UNAWAITING_MAX: usize = 400;
/// No straight way to a panic is longer.
const DYING_MAX: usize = 24;

/// An async body that a poll function resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumedBody {
    /// The address of the `Location` that its panic states.
    pub location: ElfAddr,
    /// The place of its state byte, in bytes from the task's header.
    pub state_at: i64,
    /// Set if polls do nothing with the future but resume this body.
    pub alone: bool,
}

/// The first body that this poll function of a task resumes, whose future lies there in the task.
#[must_use]
pub fn find(code: &Code<'_, '_>, poll: ElfAddr, future: Range<i64>) -> Option<ResumedBody> {
    let info = InstructionInfoFactory::new();
    let mut search =
        BodySearch { code, future, left: SEARCHED_MAX, cut: false, found: Vec::new(), context: None, info };
    search.function(poll, SymbolicState::at_entry(), PollWay::default(), 0);
    let first = *search.found.first()?;
    let is_one = search.found.iter().all(|body| body.state_at == first.state_at);
    let is_same = search.found.iter().all(|body| body.state_at != first.state_at || body.location == first.location);
    let alone = is_one && !search.cut && search.found.iter().all(|body| body.alone);
    is_same.then_some(ResumedBody { alone, ..first })
}

/// The part of a poll that an instruction belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum PollPart {
    /// Before a body is resumed.
    #[default]
    Before,
    /// In the resumed body, or in what is inlined around it.
    Inside,
    /// After the body has stored that it waits.
    Suspended,
    /// After the body has returned.
    After,
}

/// The things that were done on the way to an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PollWay {
    part: PollPart,
    /// The first place in the future that was read.
    read: Option<i64>,
    /// Set if what was read there decides only between going on and a panic, as tokio does by a task's stage.
    guards: bool,
    /// Set if more was done with the future than to read that place.
    touched: bool,
    /// The state byte of the body that was resumed.
    state_at: i64,
}

struct BodySearch<'c, 'e, 'data> {
    code: &'c Code<'e, 'data>,
    future: Range<i64>,
    left: usize,
    /// Set if not all was followed.
    cut: bool,
    found: Vec<ResumedBody>,
    /// The argument that the body got behind its own address: the `Context`.
    context: Option<SymbolicValue>,
    info: InstructionInfoFactory,
}

/// One way through a function, as far as it was followed.
struct Branch {
    at: usize,
    state: SymbolicState,
    way: PollWay,
    /// The place in the future whose content was compared last.
    compared: Option<i64>,
}

impl BodySearch<'_, '_, '_> {
    /// Returns what was done on the ways that return.
    fn function(&mut self, start: ElfAddr, entry: SymbolicState, way: PollWay, depth: u8) -> BTreeSet<PollWay> {
        let Some(body) = self.code.body(start) else { return unknown(way) };
        let mut returned = BTreeSet::new();
        let mut passed = HashSet::new();
        let mut pending = vec![Branch { at: 0, state: entry, way, compared: None }];
        while let Some(mut branch) = pending.pop() {
            while passed.insert((branch.at, branch.way)) {
                let Some(instruction) = body.instructions.get(branch.at) else { break };
                let Some(left) = self.left.checked_sub(1) else {
                    self.cut = true;
                    return returned;
                };
                self.left = left;
                self.look(&body, instruction, &mut branch);
                if !self.go_on(&body, instruction, &mut branch, &mut pending, &mut returned, depth) {
                    break;
                }
            }
        }
        returned
    }

    fn go_on(
        &mut self,
        body: &Body,
        instruction: &Instruction,
        branch: &mut Branch,
        pending: &mut Vec<Branch>,
        returned: &mut BTreeSet<PollWay>,
        depth: u8,
    ) -> bool {
        let jump_to = || body.index_of(instruction.near_branch_target());
        match instruction.flow_control() {
            FlowControl::Next => {
                branch.state.step(instruction, &mut self.info);
                branch.at += 1;
                true
            }
            FlowControl::Call | FlowControl::IndirectCall => {
                let ways = self.call(instruction, branch, depth);
                branch.state.after_call();
                branch.compared = None;
                branch.at += 1;
                pending.extend(ways.into_iter().map(|way| Branch { way, state: branch.state.clone(), ..*branch }));
                false
            }
            FlowControl::ConditionalBranch => {
                let taken = jump_to();
                self.guard(body, branch, taken);
                pending.extend(taken.map(|at| Branch { at, state: branch.state.clone(), ..*branch }));
                branch.at += 1;
                true
            }
            FlowControl::UnconditionalBranch if body.contains(instruction.near_branch_target()) => {
                let Some(at) = jump_to() else { return false };
                branch.at = at;
                true
            }
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => {
                let cases = table::cases(self.code.elf, body, branch.at);
                if cases.is_empty() {
                    self.cut |= table::goes_through(instruction) && branch.way.part == PollPart::Before;
                    returned.extend(self.call(instruction, branch, depth));
                }
                let case = |at| Branch { at, state: branch.state.clone(), ..*branch };
                pending.extend(cases.into_iter().rev().map(case));
                false
            }
            FlowControl::Return => {
                returned.insert(branch.way);
                false
            }
            _ => false,
        }
    }

    /// The place in the future that has this address.
    fn place(&self, address: &SymbolicValue) -> Option<i64> {
        (address.root == SymbolicRoot::Argument(0) && self.future.contains(&address.offset)).then_some(address.offset)
    }

    /// The place in the future that the value was loaded from, and how many bytes were.
    fn loaded(&self, value: &SymbolicValue) -> Option<(i64, u8)> {
        match &value.root {
            SymbolicRoot::Loaded(address, bytes) => Some((self.place(address)?, *bytes)),
            _ => None,
        }
    }

    /// The place in the future that the instruction reads or writes.
    fn memory(&self, instruction: &Instruction, state: &SymbolicState) -> Option<i64> {
        let used = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory)
            && !matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop);
        if used { self.place(&state.address(instruction)?) } else { None }
    }

    fn look(&mut self, body: &Body, instruction: &Instruction, branch: &mut Branch) {
        let at = self.memory(instruction, &branch.state);
        match branch.way.part {
            PollPart::Before => self.look_before(body, instruction, branch, at),
            PollPart::Inside => suspends(instruction, branch, at),
            PollPart::Suspended if at.is_some_and(|at| at != branch.way.state_at) && !is_store(instruction) => {
                self.does_more(branch.way);
            }
            PollPart::Suspended | PollPart::After => {}
        }
        if instruction.rflags_modified() != 0 {
            let operands = (0..instruction.op_count()).filter_map(|place| branch.state.operand(instruction, place));
            branch.compared = operands.filter_map(|value| self.loaded(&value)).map(|(at, _)| at).next();
        }
    }

    fn look_before(&mut self, body: &Body, instruction: &Instruction, branch: &mut Branch, at: Option<i64>) {
        if let Some(byte) = self.deciding(instruction, &branch.state)
            && let Some(found) = self.resumed(body, branch, byte)
        {
            if self.found.is_empty() {
                self.left += INSTRUCTIONS_MAX - SEARCHED_MAX;
            }
            self.found.push(found);
            branch.way.part = PollPart::Inside;
            branch.way.state_at = byte;
            return;
        }
        let Some(at) = at else { return };
        branch.way.touched |= branch.way.read.is_some_and(|read| read != at) || is_store(instruction);
        branch.way.read.get_or_insert(at);
    }

    /// The byte of the future that the instruction may be the first to decide by.
    fn deciding(&self, instruction: &Instruction, state: &SymbolicState) -> Option<i64> {
        let value = match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Test => state.operand(instruction, 0),
            Mnemonic::Mov | Mnemonic::Movzx => state.operand(instruction, 1),
            Mnemonic::Movsxd => state.register(instruction.memory_index()),
            _ => None,
        };
        value.and_then(|value| self.loaded(&value)).filter(|&(_, bytes)| bytes == 1).map(|(at, _)| at)
    }

    /// The body whose state is the byte there, if it is one.
    fn resumed(&self, body: &Body, branch: &Branch, state_at: i64) -> Option<ResumedBody> {
        let byte = SymbolicValue { root: SymbolicRoot::Argument(0), offset: state_at };
        let end = |number| assumed::follow(self.code, body, branch.at, &branch.state, (&byte, number));
        let AssumedEnd::Resumed { message: ResumedMessage::AfterCompletion, location } = end(1) else { return None };
        if matches!(end(0), AssumedEnd::Resumed { .. }) {
            return None;
        }
        // Where the compiler keeps the stage in the numbers that a body's state leaves over, one more panic is tokio's.
        let dying =
            (0..=u8::MAX).map(end).filter(|end| matches!(end, AssumedEnd::Dies(_))).collect::<BTreeSet<_>>().len();
        let way = branch.way;
        let stage_is_here = way.read.is_none_or(|read| read == state_at) && !way.guards;
        let stage_was_before = way.read.is_none() || way.guards || way.read == Some(state_at);
        let alone = !way.touched && stage_was_before && dying <= usize::from(stage_is_here);
        Some(ResumedBody { location, state_at, alone })
    }

    fn does_more(&mut self, way: PollWay) {
        let bodies = self.found.iter_mut().filter(|body| body.state_at == way.state_at);
        bodies.for_each(|body| body.alone = false);
    }

    /// Notes whether the comparison that decides here only keeps tasks from being polled that are done.
    fn guard(&self, body: &Body, branch: &mut Branch, taken: Option<usize>) {
        if branch.way.part != PollPart::Before || branch.compared.is_none() || branch.compared != branch.way.read {
            return;
        }
        let dies = |at: usize| self.dies(body, at);
        branch.way.guards |= taken.is_some_and(dies) != dies(branch.at + 1);
    }

    /// Returns `true` if the code there leads straight to a call that never returns.
    fn dies(&self, body: &Body, mut at: usize) -> bool {
        for _ in 0..DYING_MAX {
            let Some(instruction) = body.instructions.get(at) else { return false };
            match instruction.flow_control() {
                FlowControl::Next => at += 1,
                FlowControl::UnconditionalBranch => match body.index_of(instruction.near_branch_target()) {
                    Some(target) => at = target,
                    None => return false,
                },
                FlowControl::Call | FlowControl::IndirectCall => {
                    return matches!(self.code.target(instruction), Target::Known(to) if self.code.never_returns(to));
                }
                FlowControl::Exception => return true,
                _ => return false,
            }
        }
        false
    }

    /// Returns what was done on the ways that come back from what is called.
    fn call(&mut self, instruction: &Instruction, branch: &Branch, depth: u8) -> BTreeSet<PollWay> {
        let way = branch.way;
        let arguments = branch.state.arguments();
        let target = self.code.target(instruction);
        if let Target::Known(function) = target
            && self.code.never_returns(function)
        {
            return BTreeSet::new();
        }
        let of_task = |argument: &Option<SymbolicValue>| {
            argument.as_ref().is_some_and(|value| {
                value.root == SymbolicRoot::Argument(0) && (0..self.future.end).contains(&value.offset)
            })
        };
        let in_future = arguments.iter().position(|value| value.as_ref().is_some_and(|at| self.place(at).is_some()));
        match way.part {
            PollPart::Before => {}
            PollPart::Inside => return BTreeSet::from([way]),
            PollPart::Suspended if in_future.is_some() => {
                self.does_more(way);
                return BTreeSet::new();
            }
            // Now tokio goes on with the task.
            PollPart::Suspended if arguments.iter().any(of_task) => return BTreeSet::new(),
            PollPart::Suspended => return BTreeSet::from([way]),
            PollPart::After => {
                let length = in_future.and_then(|place| arguments.get(place + 2)?.as_ref());
                let is_copied = length.is_some_and(|length| length.root == SymbolicRoot::Constant);
                let takes_context = self.context.is_some() && arguments.contains(&self.context);
                if in_future.is_some() && takes_context && !is_copied {
                    self.does_more(way);
                }
                return BTreeSet::from([way]);
            }
        }
        let takes = arguments.iter().any(of_task) || holds_task(&branch.state, &arguments);
        let Target::Known(function) = target else {
            return if takes { unknown(way) } else { BTreeSet::from([way]) };
        };
        if !takes {
            return BTreeSet::from([way]);
        }
        // Whoever gets the future, and nothing on the stack, where the `Context` is, polls it only if nothing is awaited
        // in there; else it drops it.
        let with_context =
            |place: usize| arguments.iter().skip(place + 1).flatten().any(|value| value.root == SymbolicRoot::Stack);
        if in_future.is_some_and(|place| !with_context(place)) {
            return self.without_context(function, branch);
        }
        if depth == DEPTH_MAX || self.code.body(function).is_none() {
            return unknown(way);
        }
        let returned = self.function(function, branch.state.called(), way, depth + 1);
        if let Some(future) = in_future
            && self.context.is_none()
            && returned.iter().any(|way| way.part != PollPart::Before)
        {
            self.context = arguments.get(future + 1).cloned().flatten();
        }
        returned.into_iter().map(returned_to).collect()
    }

    fn without_context(&mut self, function: ElfAddr, branch: &Branch) -> BTreeSet<PollWay> {
        let before = (self.left, self.cut, self.found.len());
        self.left = before.0.min(UNAWAITING_MAX);
        let allowed = self.left;
        let returned = self.function(function, branch.state.called(), branch.way, DEPTH_MAX);
        self.left = before.0 - (allowed - self.left);
        if self.found.len() > before.2 {
            return returned.into_iter().map(returned_to).collect();
        }
        self.cut = before.1;
        unknown(branch.way)
    }
}

/// The part that goes on behind a call.
fn returned_to(way: PollWay) -> PollWay {
    if way.part == PollPart::Before { way } else { PollWay { part: PollPart::After, ..way } }
}

/// The way behind a function that cannot be followed: it may have done anything.
fn unknown(way: PollWay) -> BTreeSet<PollWay> {
    BTreeSet::from([PollWay { touched: true, ..way }])
}

/// Goes on to wait where the state of a suspended body is stored.
fn suspends(instruction: &Instruction, branch: &mut Branch, at: Option<i64>) {
    if at != Some(branch.way.state_at) || !is_store(instruction) || instruction.memory_size().size() != 1 {
        return;
    }
    let number = branch.state.operand(instruction, 1).filter(|number| number.root == SymbolicRoot::Constant);
    match number.map(|number| number.offset as u8) {
        Some(3..) => branch.way.part = PollPart::Suspended,
        Some(1) => branch.way.part = PollPart::After,
        _ => {}
    }
}

/// Returns `true` if the instruction only writes to memory.
fn is_store(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Memory
        && instruction.op_count() == 2
        && !matches!(instruction.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
}

/// Returns `true` if an argument points to a closure on the stack in which there is an address in the task.
fn holds_task(state: &SymbolicState, arguments: &[Option<SymbolicValue>; 6]) -> bool {
    let on_stack = |argument: &Option<SymbolicValue>| {
        argument.as_ref().filter(|argument| argument.root == SymbolicRoot::Stack).map(|argument| argument.offset)
    };
    let closures: Vec<i64> = arguments.iter().filter_map(on_stack).collect();
    state.kept().any(|(at, value)| {
        value.root == SymbolicRoot::Argument(0) && closures.iter().any(|&from| (from..from + CLOSURE_MAX).contains(&at))
    })
}
