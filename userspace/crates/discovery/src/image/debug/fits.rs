//! The comparison of a debug file's build with an executable's.

use object::{
    LittleEndian as LE, elf,
    read::elf::{ElfFile64, FileHeader as _, SectionHeader as _},
    read::{Object as _, ObjectSection as _},
};

use super::{BuildMismatch, open};
use crate::image::elf::hexadecimal;

/// Checks that the debug file is of the executable's build: by build ids, and where one of them has none, by
/// all loaded sections' places and sizes and, as far as the debug file holds them, by the bytes of the
/// code and of its unwind table.
///
/// # Errors
///
/// A difference.
pub(super) fn check(executable: &[u8], debug: &[u8]) -> Result<(), BuildMismatch> {
    match (open::build_id_of(executable), open::build_id_of(debug)) {
        (Some(one), Some(other)) if one == other => Ok(()),
        (Some(one), Some(other)) => {
            Err(BuildMismatch::BuildIds { debug: hexadecimal(&other), executable: hexadecimal(&one) })
        }
        _ => check_layout(executable, debug),
    }
}

/// One loaded section.
#[derive(PartialEq, Eq)]
struct LoadedSection<'data> {
    name: &'data [u8],
    address: u64,
    size: u64,
}

fn check_layout(executable: &[u8], debug: &[u8]) -> Result<(), BuildMismatch> {
    let (one, other) = (ElfFile64::<LE>::parse(executable), ElfFile64::<LE>::parse(debug));
    let (one, other) = (one.map_err(BuildMismatch::Malformed)?, other.map_err(BuildMismatch::Malformed)?);
    let (own, others) = (loaded(&one), loaded(&other));
    if own.is_empty() || own != others {
        return Err(BuildMismatch::Sections);
    }
    for section in [".text", ".eh_frame"] {
        let bytes =
            |file: &ElfFile64<'_, LE>| file.section_by_name(section).map(|found| found.data().map(<[u8]>::to_vec));
        match (bytes(&one), bytes(&other)) {
            (Some(Ok(one)), Some(Ok(other))) if other.is_empty() || one == other => {}
            (None, None) => {}
            _ => return Err(BuildMismatch::Bytes { section }),
        }
    }
    Ok(())
}

/// The loaded sections, but for notes: the build id is one, and may be missing in either file.
fn loaded<'data>(file: &ElfFile64<'data, LE>) -> Vec<LoadedSection<'data>> {
    let header = file.elf_header();
    let Ok(sections) = header.sections(LE, file.data()) else { return Vec::new() };
    let loaded = sections.iter().filter(|section| {
        section.sh_flags(LE) & elf::SHF_ALLOC == elf::SHF_ALLOC && section.sh_type(LE) != elf::SHT_NOTE
    });
    let described = loaded.filter_map(|section| {
        let name = sections.section_name(LE, section).ok()?;
        (!name.starts_with(b".note")).then(|| LoadedSection {
            name,
            address: section.sh_addr(LE),
            size: section.sh_size(LE),
        })
    });
    described.collect()
}
