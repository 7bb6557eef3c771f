//! The arguments that a function reads: whatever else stands in their registers is none.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register};

use crate::{
    addr::ElfAddr,
    code::x86_64::{
        ARGUMENTS,
        code::{Body, Code, Target},
        is_write, table,
    },
};

/// Calls are followed this deep.
const DEPTH_MAX: u8 = 24;
/// More instructions of one function are not looked at.
const STEPS_MAX: usize = 20_000;
/// All six.
const ALL: u8 = 0x3f;

/// The first three: no function of a vtable that gets a future and its `Context` has them elsewhere.
const FIRST: u8 = 7;

/// Arguments, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TakenArguments {
    /// Those that the function reads on some way.
    pub(super) reads: u8,
    /// Those that it may hand on to what is not known.
    pub(super) may_hand_on: u8,
}

impl TakenArguments {
    const UNKNOWN: Self = Self { reads: 0, may_hand_on: ALL };

    fn add(&mut self, other: Self, written: u8) {
        self.reads |= other.reads & !written;
        self.may_hand_on |= other.may_hand_on & !written;
    }

    /// Those that it reads or hands on.
    pub(super) const fn all(self) -> u8 {
        self.reads | self.may_hand_on
    }
}

/// The arguments that functions read, as bits, as far as was asked.
#[derive(Debug, Default)]
pub(super) struct Takes {
    known: RefCell<HashMap<ElfAddr, TakenArguments>>,
}

impl Takes {
    /// The arguments that the function takes.
    pub(super) fn of(&self, code: &Code<'_, '_>, function: ElfAddr) -> TakenArguments {
        self.at_depth(code, function, 0)
    }

    fn at_depth(&self, code: &Code<'_, '_>, function: ElfAddr, depth: u8) -> TakenArguments {
        if let Some(&known) = self.known.borrow().get(&function) {
            return known;
        }
        let Some(body) = code.body(function).filter(|_| depth < DEPTH_MAX) else { return TakenArguments::UNKNOWN };
        // One that calls itself passes nothing on that it does not read elsewhere.
        self.known.borrow_mut().insert(function, TakenArguments::default());
        let taken = self.look(code, &body, depth);
        self.known.borrow_mut().insert(function, taken);
        taken
    }

    fn look(&self, code: &Code<'_, '_>, body: &Body, depth: u8) -> TakenArguments {
        let mut info = InstructionInfoFactory::new();
        let (mut taken, mut pending, mut passed) = (TakenArguments::default(), vec![(0, 0_u8)], BTreeSet::new());
        while let Some((mut at, mut written)) = pending.pop() {
            while (written | taken.reads) != ALL && passed.insert((at, written)) {
                let Some(instruction) = body.instructions.get(at) else { break };
                if passed.len() > STEPS_MAX {
                    taken.add(TakenArguments::UNKNOWN, 0);
                    return taken;
                }
                let (reads, writes) = used(instruction, &mut info);
                taken.reads |= reads & !written;
                let leaves = |depth: u8| match code.target(instruction) {
                    Target::Known(to) => self.at_depth(code, to, depth + 1),
                    // Other libraries know no `Context`.
                    Target::Unknown if instruction.is_ip_rel_memory_operand() => TakenArguments::default(),
                    Target::Unknown => TakenArguments { reads: 0, may_hand_on: FIRST },
                };
                match instruction.flow_control() {
                    FlowControl::Next => {
                        written |= writes;
                        at += 1;
                    }
                    FlowControl::Call | FlowControl::IndirectCall => {
                        taken.add(leaves(depth), written);
                        break;
                    }
                    FlowControl::ConditionalBranch => {
                        match body.index_of(instruction.near_branch_target()) {
                            Some(to) => pending.push((to, written)),
                            None => taken.add(leaves(depth), written),
                        }
                        at += 1;
                    }
                    FlowControl::UnconditionalBranch => match body.index_of(instruction.near_branch_target()) {
                        Some(to) => at = to,
                        None => {
                            taken.add(leaves(depth), written);
                            break;
                        }
                    },
                    FlowControl::IndirectBranch => {
                        let cases = table::cases(code.elf, body, at);
                        if cases.is_empty() {
                            taken.add(leaves(depth), written);
                        }
                        pending.extend(cases.into_iter().map(|case| (case, written)));
                        break;
                    }
                    _ => break,
                }
            }
        }
        taken
    }
}

/// The arguments that an instruction reads and writes, as bits.
fn used(instruction: &Instruction, info: &mut InstructionInfoFactory) -> (u8, u8) {
    let is_zeroed = matches!(instruction.mnemonic(), Mnemonic::Xor | Mnemonic::Sub)
        && instruction.op0_register() == instruction.op1_register()
        && instruction.op0_register() != Register::None;
    let (mut reads, mut writes) = (0, 0);
    for register in info.info(instruction).used_registers() {
        let Some(place) = ARGUMENTS.iter().position(|&argument| argument == register.register().full_register()) else {
            continue;
        };
        if is_write(register.access()) {
            writes |= 1 << place;
        }
        if !matches!(register.access(), OpAccess::Write | OpAccess::None | OpAccess::NoMemAccess) && !is_zeroed {
            reads |= 1 << place;
        }
    }
    (reads, writes)
}
