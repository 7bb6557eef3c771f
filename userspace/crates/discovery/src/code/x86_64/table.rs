//! Jump tables: where `match` on many cases leads.

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::code::Body;
use crate::{addr::ElfAddr, image::elf::Elf};

/// More cases than this are not looked at; tokio's own tables have four.
const CASES_MAX: u64 = 64;
/// The distance before a jump within which its table is loaded.
pub(super) const REACH: usize = 32;

/// Returns `true` if an indirect jump stays in its function: `jmp *%rax` or `jmp *table(,%rax,8)`. One through a
/// pointer in memory leaves it, its registers restored (`jmp *free@GOT(%rip)`).
pub(crate) fn goes_through(jump: &Instruction) -> bool {
    jump.flow_control() == FlowControl::IndirectBranch
        && (jump.op0_kind() == OpKind::Register || jump.memory_index() != Register::None)
}

/// The table that a jump goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    /// Of addresses.
    Absolute(ElfAddr),
    /// Of distances from the table.
    Relative(ElfAddr),
}

impl Table {
    /// The table of this jump, given the instructions before it; `None` if it is not recognised.
    pub(super) fn of(before: &[Instruction], jump: &Instruction) -> Option<Self> {
        if !goes_through(jump) {
            return None;
        }
        let absolute =
            jump.op0_kind() == OpKind::Memory && jump.memory_base() == Register::None && jump.memory_index_scale() == 8;
        if absolute {
            return Some(Self::Absolute(ElfAddr(jump.memory_displacement64())));
        }
        relative(&before[before.len().saturating_sub(REACH)..], jump).map(Self::Relative)
    }

    /// The addresses in it, and in what lies behind it: its length is not known.
    pub(super) fn targets(self, elf: &Elf<'_>) -> impl Iterator<Item = ElfAddr> {
        (0..CASES_MAX).map_while(move |case| match self {
            Self::Absolute(table) => elf.pointer(table.plus(case * 8)),
            Self::Relative(table) => {
                let entry = elf.bytes(table.plus(case * 4), 4).try_into().ok().map(i32::from_le_bytes)?;
                Some(ElfAddr(table.0.wrapping_add_signed(i64::from(entry))))
            }
        })
    }
}

/// The instructions, by index, that the jump at `at` may lead to; none if its table is not recognised. A
/// table's length is not known: it is taken to end before the first case that leads elsewhere.
pub(crate) fn cases(elf: &Elf<'_>, body: &Body, at: usize) -> Vec<usize> {
    let Some(jump) = body.instructions.get(at) else { return Vec::new() };
    let Some(table) = Table::of(&body.instructions[..at], jump) else { return Vec::new() };
    table.targets(elf).map_while(|case| body.index_of(case.0)).collect()
}

/// The table of `lea table(%rip),%base; movslq (%base,%case,4),%to; add %base,%to; jmp *%to`.
fn relative(before: &[Instruction], jump: &Instruction) -> Option<ElfAddr> {
    let to = jump.op0_register();
    let mut back = before.iter().rev();
    let sum = back.next().filter(|sum| sum.mnemonic() == Mnemonic::Add && sum.op0_register() == to)?;
    let load = back.next().filter(|load| load.mnemonic() == Mnemonic::Movsxd && load.op0_register() == to)?;
    let base = sum.op1_register();
    let fits = load.memory_base() == base && load.memory_index_scale() == 4 && load.memory_displacement64() == 0;
    let lea = back.find(|set| set.op0_register() == base).filter(|_| fits)?;
    let is_table = lea.mnemonic() == Mnemonic::Lea && lea.is_ip_rel_memory_operand();
    is_table.then(|| ElfAddr(lea.ip_rel_memory_address()))
}
