//! Collects hooks: each once, with what is known about it.

use std::collections::HashSet;

use iced_x86::Instruction;

use super::plan::{Placement, Program};
use crate::{
    addr::ElfAddr,
    code::x86_64::{is_emulated, show},
    image::elf::Elf,
};
use asyncscope_trace::facts::{Hook, HookSite, HookState, ImageId, MissingReason, Proof, Sees};

/// A growing list of placements.
#[derive(Debug)]
pub(crate) struct Builder<'e, 'data> {
    elf: &'e Elf<'data>,
    seen: HashSet<(Program, u64)>,
    pub(crate) placements: Vec<Placement>,
    pub(crate) hooks: Vec<Hook>,
}

impl<'e, 'data> Builder<'e, 'data> {
    pub(crate) fn new(elf: &'e Elf<'data>) -> Self {
        Self { elf, seen: HashSet::new(), placements: Vec::new(), hooks: Vec::new() }
    }

    /// Places a probe on an instruction that was decoded in order from its function's start.
    pub(crate) fn place(&mut self, program: Program, instruction: &Instruction, cookie: u64, sees: Sees, proof: Proof) {
        let address = ElfAddr(instruction.ip());
        let Some(offset) = self.elf.file_offset(address) else { return };
        if !self.seen.insert((program, address.0)) {
            return;
        }
        let bytes = self.elf.bytes(address, instruction.len() as u64).to_vec();
        self.placements.push(Placement { program, address, offset, bytes, cookie });
        let site =
            HookSite { address: address.0, instruction: show(instruction), emulated: is_emulated(instruction), proof };
        self.hooks.push(Hook { sees, image: ImageId::EXECUTABLE, state: HookState::Armed(site) });
    }

    /// Notes a hook that is not there, and why.
    pub(crate) fn missing(&mut self, sees: Sees, why: MissingReason) {
        self.hooks.push(Hook::missing(sees, ImageId::EXECUTABLE, why));
    }
}
