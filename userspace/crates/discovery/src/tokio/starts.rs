//! Where functions start in an executable whose unwind tables do not say: found from its task vtables.

use super::vtables;
use crate::{addr::ElfAddr, code::x86_64::descent, image::elf::Elf};
use asyncscope_trace::facts::FunctionStarts;

/// The file with the functions that are found from its task vtables, where its unwind tables lack some of theirs.
pub(super) fn completed<'data>(elf: &Elf<'data>) -> Option<(Elf<'data>, FunctionStarts)> {
    let starts: Vec<ElfAddr> = vtables::scan_shapes(elf).iter().flat_map(|vtable| vtable.functions(elf)).collect();
    if starts.iter().all(|&start| elf.function_at(start).is_some()) {
        return None;
    }
    let (in_tables, completed) = (elf.functions().len(), elf.with_found(descent::find(elf, starts)));
    let found = completed.functions().len() - in_tables;
    Some((completed, FunctionStarts::Descent { in_tables, found }))
}
