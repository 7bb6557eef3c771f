//! Functions of a file whose unwind tables do not have them.

use super::elf::{Elf, ElfFunction};
use crate::addr::ElfAddr;

/// Functions that were found without unwind tables.
#[derive(Clone, Debug, Default)]
pub struct FoundCode {
    /// The functions, by address; no two overlap.
    pub functions: Vec<ElfFunction>,
    /// The stretches of instructions in them, by address, with their lengths in bytes. What lies between is not known.
    pub runs: Vec<(ElfAddr, u64)>,
}

impl<'data> Elf<'data> {
    /// The file with these functions beside those of its unwind table, which are believed where two overlap.
    #[must_use]
    pub fn with_found(&self, found: FoundCode) -> Self {
        let is_known = |start: ElfAddr, len: u64| {
            let after = self.functions.partition_point(|known| known.start.0 < start.0.saturating_add(len));
            after.checked_sub(1).is_some_and(|last| {
                let last = &self.functions[last];
                last.start.0.saturating_add(last.len) > start.0
            })
        };
        let new = found.functions.into_iter().filter(|function| !is_known(function.start, function.len));
        let mut functions: Vec<ElfFunction> = self.functions.iter().copied().chain(new).collect();
        functions.sort_unstable_by_key(|function| function.start);
        let runs = found.runs.into_iter().filter(|&(start, len)| !is_known(start, len)).collect();
        let mut completed = self.clone();
        (completed.functions, completed.runs) = (functions, runs);
        completed
    }

    /// The stretches of the function that are surely instructions, in order, with their lengths in bytes: all of it, or
    /// what was found of it.
    #[must_use]
    pub fn runs(&self, function: ElfFunction) -> Vec<(ElfAddr, u64)> {
        let end = function.start.0.saturating_add(function.len);
        let first = self.runs.partition_point(|&(start, _)| start < function.start);
        let found = self.runs[first..].iter().take_while(|&&(start, _)| start.0 < end).copied();
        let found: Vec<_> = found.collect();
        if found.is_empty() { vec![(function.start, function.len)] } else { found }
    }

    /// The segments with code: where each lies in memory, and its bytes.
    pub fn executable(&self) -> impl Iterator<Item = (ElfAddr, &'data [u8])> + '_ {
        let code = self.segments.iter().filter(|segment| segment.executable);
        code.map(|segment| (ElfAddr(segment.address), self.bytes(ElfAddr(segment.address), segment.size)))
    }
}
