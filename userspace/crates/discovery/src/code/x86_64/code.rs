//! Decoded functions, each decoded in order from its start in `.eh_frame`, or, where a file has no such tables, along
//! its jumps: the only instructions on which a probe may sit.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, OpKind};

use crate::{
    addr::ElfAddr,
    image::elf::{Elf, ElfFunction},
};

/// A function longer than this is not decoded: more code than tokio puts into any of its own.
const LEN_MAX: u64 = 1 << 20;

/// The executable's code, decoded as far as it was asked for.
#[derive(Debug)]
pub struct Code<'e, 'data> {
    /// The file.
    pub elf: &'e Elf<'data>,
    decoded: RefCell<HashMap<ElfAddr, Option<Rc<Body>>>>,
    never_return: RefCell<HashMap<ElfAddr, bool>>,
}

/// One function's instructions.
#[derive(Debug)]
pub struct Body {
    /// The function.
    pub function: ElfFunction,
    /// Its instructions, by address. Where a file has no unwind tables, some may be missing between two.
    pub instructions: Vec<Instruction>,
    /// The addresses its direct jumps lead to, in order.
    jumped_to: Vec<u64>,
}

impl Body {
    /// The index of the instruction that starts at this address.
    #[must_use]
    pub fn index_of(&self, address: u64) -> Option<usize> {
        self.instructions.binary_search_by_key(&address, Instruction::ip).ok()
    }

    /// The index of the instruction that lies right behind this one.
    #[must_use]
    pub fn next(&self, index: usize) -> Option<usize> {
        let (this, next) = (self.instructions.get(index)?, self.instructions.get(index + 1)?);
        (next.ip() == this.next_ip()).then_some(index + 1)
    }

    /// Returns `true` if a direct jump of this function leads to the address.
    #[must_use]
    pub fn is_jumped_to(&self, address: u64) -> bool {
        self.jumped_to.binary_search(&address).is_ok()
    }

    /// Returns `true` if the address lies in the function.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        address.wrapping_sub(self.function.start.0) < self.function.len
    }
}

/// The place that a jump or a call leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address in this file.
    Known(ElfAddr),
    /// Another library, a vtable, a jump table.
    Unknown,
}

impl<'e, 'data> Code<'e, 'data> {
    /// Nothing is decoded yet.
    #[must_use]
    pub fn new(elf: &'e Elf<'data>) -> Self {
        Self { elf, decoded: RefCell::default(), never_return: RefCell::default() }
    }

    /// The function that starts here; `None` if none does, or if it cannot be decoded to its end.
    #[must_use]
    pub fn body(&self, start: ElfAddr) -> Option<Rc<Body>> {
        if let Some(known) = self.decoded.borrow().get(&start) {
            return known.clone();
        }
        let body = self.elf.function_at(start).and_then(|function| self.decode(function)).map(Rc::new);
        self.decoded.borrow_mut().insert(start, body.clone());
        body
    }

    /// The function that starts here, which is not kept: for a look at many functions, of which most say nothing.
    #[must_use]
    pub fn glance(&self, function: &ElfFunction) -> Option<Rc<Body>> {
        if let Some(known) = self.decoded.borrow().get(&function.start) {
            return known.clone();
        }
        self.decode(*function).map(Rc::new)
    }

    fn decode(&self, function: ElfFunction) -> Option<Body> {
        if function.len > LEN_MAX {
            return None;
        }
        let mut instructions = Vec::new();
        for (start, len) in self.elf.runs(function) {
            let bytes = self.elf.bytes(start, len);
            if bytes.len() as u64 != len {
                return None;
            }
            instructions.extend(Decoder::with_ip(64, bytes, start.0, DecoderOptions::NONE));
        }
        let sound = instructions.iter().all(|instruction| !instruction.is_invalid());
        sound.then(|| Body { function, jumped_to: jumped_to(&instructions), instructions })
    }

    /// Returns `true` if the function that starts here surely does not return: it calls, but has no `ret` and no
    /// jump that leaves it, other than for functions of that kind. Most that panic are so.
    #[must_use]
    pub fn never_returns(&self, start: ElfAddr) -> bool {
        if let Some(&known) = self.never_return.borrow().get(&start) {
            return known;
        }
        // Functions that jump to each other in a circle are taken to return.
        self.never_return.borrow_mut().insert(start, false);
        let never = self.body(start).is_some_and(|body| self.has_no_way_out(&body));
        self.never_return.borrow_mut().insert(start, never);
        never
    }

    fn has_no_way_out(&self, body: &Body) -> bool {
        let mut ends = false;
        for instruction in &body.instructions {
            match instruction.flow_control() {
                FlowControl::Call | FlowControl::IndirectCall => ends = true,
                FlowControl::Return => return false,
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                    if body.contains(instruction.near_branch_target()) => {}
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::IndirectBranch => {
                    match self.target(instruction) {
                        Target::Known(next) if self.never_returns(next) => ends = true,
                        _ => return false,
                    }
                }
                _ => {}
            }
        }
        ends
    }

    /// The place a call or jump leads to: directly, or through a pointer that relocation fixes (a GOT entry).
    #[must_use]
    pub fn target(&self, instruction: &Instruction) -> Target {
        let address = match instruction.flow_control() {
            FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
                Some(ElfAddr(instruction.near_branch_target()))
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch => pointed_to(self.elf, instruction),
            _ => None,
        };
        address.map_or(Target::Unknown, Target::Known)
    }
}

fn jumped_to(instructions: &[Instruction]) -> Vec<u64> {
    let jumps = instructions.iter().filter(|instruction| {
        matches!(instruction.flow_control(), FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch)
    });
    let mut targets: Vec<u64> = jumps.map(Instruction::near_branch_target).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// The pointer that a RIP-relative memory operand reads, if relocation fixes it.
pub(super) fn pointed_to(elf: &Elf<'_>, instruction: &Instruction) -> Option<ElfAddr> {
    let memory = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
    (memory && instruction.is_ip_rel_memory_operand())
        .then(|| elf.pointer(ElfAddr(instruction.ip_rel_memory_address())))?
}

/// The static address that an instruction loads: by `lea`, from a GOT entry, or, at fixed addresses, as a
/// number, which may be stored at once.
#[must_use]
pub fn loaded_address(elf: &Elf<'_>, instruction: &Instruction) -> Option<ElfAddr> {
    match instruction.mnemonic() {
        iced_x86::Mnemonic::Lea if instruction.is_ip_rel_memory_operand() => {
            Some(ElfAddr(instruction.ip_rel_memory_address()))
        }
        iced_x86::Mnemonic::Mov => match instruction.op1_kind() {
            OpKind::Memory => pointed_to(elf, instruction),
            OpKind::Immediate32to64 | OpKind::Immediate64 | OpKind::Immediate32 => {
                Some(ElfAddr(instruction.immediate(1)))
            }
            _ => None,
        },
        _ => None,
    }
}

/// The number that is an instruction's second of two operands.
pub(super) fn immediate(instruction: &Instruction) -> Option<u64> {
    let kinds = [
        OpKind::Immediate8,
        OpKind::Immediate8to32,
        OpKind::Immediate8to64,
        OpKind::Immediate32,
        OpKind::Immediate32to64,
    ];
    (instruction.op_count() == 2 && kinds.contains(&instruction.op1_kind())).then(|| instruction.immediate(1))
}
