//! Traces of functions: loads, stores, comparisons and calls, in terms of the function's arguments.
//!
//! Every instruction is passed once, on one of the paths that lead to it: what is said holds on that path.
//! That is enough to learn where the fields of a structure lie, and no more than that is taken from it.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpKind, Register};

use super::{
    code::{Code, Target},
    symbolic::{SymbolicRoot, SymbolicState, SymbolicValue},
    table,
};
use crate::addr::ElfAddr;

/// More instructions than this are not passed, with all that is called.
const INSTRUCTIONS_MAX: usize = 40_000;

/// Something that a function does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// Memory is read.
    Load {
        /// The place.
        address: SymbolicValue,
        /// The length, in bytes.
        bytes: usize,
    },
    /// A number is written.
    Store {
        /// The place.
        address: SymbolicValue,
        /// The length, in bytes.
        bytes: usize,
        /// The number.
        number: i64,
    },
    /// A value is kept in the thread's own memory.
    Keep {
        /// The place.
        address: SymbolicValue,
        /// The length, in bytes.
        bytes: usize,
        /// The value.
        value: SymbolicValue,
    },
    /// Two values are compared.
    Compare {
        /// The first one, where it is known.
        left: Option<SymbolicValue>,
        /// The second one, where it is known.
        right: Option<SymbolicValue>,
        /// Their length, in bytes.
        bytes: usize,
        /// The mnemonic of the instruction that follows, which says for what they are compared.
        then: Mnemonic,
    },
    /// A multiple of a number is added to an address.
    Index {
        /// The address.
        base: SymbolicValue,
        /// The number, in bytes.
        stride: i64,
    },
    /// A function is called, or jumped to at the end.
    Call {
        /// Its address; `None` where it is called through a pointer.
        function: Option<ElfAddr>,
        /// That pointer, where it is known.
        callee: Option<SymbolicValue>,
        /// The values in the registers of the first six arguments, each where it is known.
        arguments: [Option<SymbolicValue>; 6],
    },
}

/// Traces what the function does, and what those do that it calls, so many levels deep. In the order of one run
/// through it that leaves out nothing at the first branch.
#[must_use]
pub fn trace(code: &Code<'_, '_>, start: ElfAddr, levels: u8) -> Vec<TraceEvent> {
    trace_into(code, start, levels, INSTRUCTIONS_MAX, &|_| true)
}

/// Traces as [`trace`] does, but at most so many instructions, and of the calls only those that `into` picks by their
/// arguments.
#[must_use]
pub fn trace_into(
    code: &Code<'_, '_>,
    start: ElfAddr,
    levels: u8,
    instructions: usize,
    into: &dyn Fn(&[Option<SymbolicValue>; 6]) -> bool,
) -> Vec<TraceEvent> {
    let (events, info) = (Vec::new(), InstructionInfoFactory::new());
    let mut trace = Tracer { code, into, events, left: instructions, info };
    trace.function(start, SymbolicState::at_entry(), levels);
    trace.events
}

struct Tracer<'c, 'e, 'data> {
    code: &'c Code<'e, 'data>,
    into: &'c dyn Fn(&[Option<SymbolicValue>; 6]) -> bool,
    events: Vec<TraceEvent>,
    left: usize,
    info: InstructionInfoFactory,
}

impl Tracer<'_, '_, '_> {
    fn function(&mut self, start: ElfAddr, entry: SymbolicState, levels: u8) {
        let Some(body) = self.code.body(start) else { return };
        let mut passed = vec![false; body.instructions.len()];
        let mut pending = vec![(0, entry)];
        while let Some((mut at, mut state)) = pending.pop() {
            while let Some(instruction) = body.instructions.get(at) {
                let again = passed.get_mut(at).is_none_or(|passed| std::mem::replace(passed, true));
                if again || self.left == 0 {
                    break;
                }
                self.left -= 1;
                let next = body.instructions.get(at + 1);
                self.note(instruction, next, &state);
                let flow = instruction.flow_control();
                match flow {
                    FlowControl::Call | FlowControl::IndirectCall => {
                        if !self.call(instruction, &state, levels) {
                            break;
                        }
                        state.after_call();
                        at += 1;
                    }
                    FlowControl::Next => {
                        state.step(instruction, &mut self.info);
                        at += 1;
                    }
                    FlowControl::ConditionalBranch => {
                        if let Some(target) = body.index_of(instruction.near_branch_target()) {
                            pending.push((target, state.clone()));
                        }
                        at += 1;
                    }
                    FlowControl::UnconditionalBranch if body.contains(instruction.near_branch_target()) => {
                        let Some(target) = body.index_of(instruction.near_branch_target()) else { break };
                        at = target;
                    }
                    FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => {
                        let cases = table::cases(self.code.elf, &body, at);
                        if cases.is_empty() {
                            self.call(instruction, &state, levels);
                        }
                        pending.extend(cases.into_iter().rev().map(|case| (case, state.clone())));
                        break;
                    }
                    _ => break,
                }
            }
        }
    }

    /// Returns `true` if what is called may return.
    fn call(&mut self, instruction: &Instruction, state: &SymbolicState, levels: u8) -> bool {
        let function = match self.code.target(instruction) {
            Target::Known(function) => Some(function),
            Target::Unknown => None,
        };
        let callee = if function.is_none() { state.operand(instruction, 0) } else { None };
        self.events.push(TraceEvent::Call { function, callee, arguments: state.arguments() });
        let Some(function) = function else { return true };
        if self.code.never_returns(function) {
            return false;
        }
        if let Some(levels) = levels.checked_sub(1).filter(|_| (self.into)(&state.arguments())) {
            self.function(function, state.called(), levels);
        }
        true
    }

    fn note(&mut self, instruction: &Instruction, next: Option<&Instruction>, state: &SymbolicState) {
        let memory = (0..instruction.op_count()).find(|&operand| instruction.op_kind(operand) == OpKind::Memory);
        if let Some(operand) = memory.filter(|_| instruction.mnemonic() != Mnemonic::Lea)
            && let Some(address) = state.address(instruction)
        {
            let bytes = instruction.memory_size().size();
            let number = (instruction.mnemonic() == Mnemonic::Mov && operand == 0)
                .then(|| state.operand(instruction, 1))
                .flatten()
                .filter(|value| value.root == SymbolicRoot::Constant);
            match number {
                Some(number) => self.events.push(TraceEvent::Store { address, bytes, number: number.offset }),
                None if operand == 0 && instruction.mnemonic() == Mnemonic::Mov => {
                    let value = state.operand(instruction, 1).filter(|_| address.root == SymbolicRoot::Thread);
                    self.events.extend(value.map(|value| TraceEvent::Keep { address, bytes, value }));
                }
                None => self.events.push(TraceEvent::Load { address, bytes }),
            }
        }
        match instruction.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Test => self.compare(instruction, next, state),
            Mnemonic::Add => self.index(state.operand(instruction, 0), state.operand(instruction, 1)),
            _ => {}
        }
        if memory.is_some() && instruction.memory_index() != Register::None && instruction.memory_index_scale() == 1 {
            self.index(state.register(instruction.memory_base()), state.register(instruction.memory_index()));
        }
    }

    fn compare(&mut self, instruction: &Instruction, next: Option<&Instruction>, state: &SymbolicState) {
        let bytes = match instruction.op0_kind() {
            OpKind::Register => instruction.op0_register().size(),
            _ => instruction.memory_size().size(),
        };
        let (left, right) = (state.operand(instruction, 0), state.operand(instruction, 1));
        let then = next.map_or(Mnemonic::INVALID, Instruction::mnemonic);
        self.events.push(TraceEvent::Compare { left, right, bytes, then });
    }

    fn index(&mut self, one: Option<SymbolicValue>, other: Option<SymbolicValue>) {
        let ((Some(SymbolicValue { root: SymbolicRoot::Product(stride), .. }), Some(base))
        | (Some(base), Some(SymbolicValue { root: SymbolicRoot::Product(stride), .. }))) = (one, other)
        else {
            return;
        };
        self.events.push(TraceEvent::Index { base, stride });
    }
}
