//! Functions of other files that a file calls through its tables.

use std::collections::BTreeSet;

use object::{
    LittleEndian as LE, elf,
    read::elf::{ElfFile64, Rela as _, SectionHeader as _},
};

use super::elf::Elf;
use crate::addr::ElfAddr;

/// Functions of C libraries and of the unwinder that never return.
/// <https://pubs.opengroup.org/onlinepubs/9799919799/functions/abort.html>,
/// <https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html> (`_Unwind_Resume`)
const NEVER_RETURN: [&[u8]; 11] = [
    b"abort",
    b"exit",
    b"_exit",
    b"_Exit",
    b"quick_exit",
    b"pthread_exit",
    b"longjmp",
    b"siglongjmp",
    b"__assert_fail",
    b"__stack_chk_fail",
    b"_Unwind_Resume",
];
/// More relocations than this are not looked at.
const RELOCATIONS_MAX: usize = 1 << 24;

impl Elf<'_> {
    /// The places where the addresses of other files' functions will stand that never return.
    #[must_use]
    pub fn never_returning_imports(&self) -> BTreeSet<ElfAddr> {
        let Ok(file) = ElfFile64::<LE>::parse(self.data()) else { return BTreeSet::new() };
        let table = file.elf_section_table();
        let mut places = BTreeSet::new();
        let mut left = RELOCATIONS_MAX;
        for (entries, link) in table.iter().filter_map(|section| section.rela(LE, self.data()).ok()?) {
            let Ok(symbols) = table.symbol_table_by_index(LE, self.data(), link) else { continue };
            for entry in entries.iter().take(left) {
                let is_function = matches!(
                    entry.r_type(LE, false),
                    elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT
                );
                let symbol = entry.symbol(LE, false).filter(|_| is_function).and_then(|at| symbols.symbol(at).ok());
                let name = symbol.filter(|symbol| symbol.st_shndx.get(LE) == elf::SHN_UNDEF);
                let name = name.and_then(|symbol| symbols.symbol_name(LE, symbol).ok());
                if name.is_some_and(|name| NEVER_RETURN.contains(&name)) && entry.r_addend.get(LE) == 0 {
                    places.insert(ElfAddr(entry.r_offset.get(LE)));
                }
            }
            left = left.saturating_sub(entries.len());
        }
        places
    }
}
