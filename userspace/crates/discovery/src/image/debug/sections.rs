//! A file's DWARF sections, unpacked as far as that is safe.

use std::borrow::Cow;

use gimli::{EndianSlice, LittleEndian, SectionId};
use object::{
    LittleEndian as LE,
    read::elf::ElfFile64,
    read::{Object as _, ObjectSection as _},
};

pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;
pub(crate) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;
pub(crate) type Sections<'a> = gimli::DwarfSections<Cow<'a, [u8]>>;

/// Packed sections that claim to be larger than this many times their file are not unpacked. Debug
/// info shrinks to a third.
const UNPACKED_TIMES_MAX: u64 = 24;

/// Returns `true` if the file has debug info, be it only what refers to other files.
pub(crate) fn has_info(data: &[u8]) -> bool {
    let Ok(file) = ElfFile64::<LE>::parse(data) else { return false };
    file.section_by_name(".debug_info").is_some_and(|section| section.data().is_ok_and(|data| !data.is_empty()))
}

/// Loads what names, code ranges and types need of a file's DWARF; other sections are left empty.
pub(crate) fn load(data: &[u8]) -> Option<Sections<'_>> {
    let file = ElfFile64::<LE>::parse(data).ok()?;
    Sections::load(|id| Ok::<_, ()>(if is_needed(id) { section(&file, id.name()) } else { Cow::default() })).ok()
}

/// Loads what names, code ranges and types need of a `.dwo` file's DWARF.
pub(crate) fn load_split(data: &[u8]) -> Option<Sections<'_>> {
    let file = ElfFile64::<LE>::parse(data).ok()?;
    let name = |id: SectionId| id.dwo_name().filter(|_| is_needed(id));
    Sections::load(|id| Ok::<_, ()>(name(id).map(|name| section(&file, name)).unwrap_or_default())).ok()
}

/// A `.dwp` file's DWARF: all of it, since its index refers to all sections.
pub(crate) fn load_package(data: &[u8]) -> Option<gimli::DwarfPackageSections<Cow<'_, [u8]>>> {
    let file = ElfFile64::<LE>::parse(data).ok()?;
    gimli::DwarfPackageSections::load(|id| {
        Ok::<_, gimli::Error>(id.dwo_name().map(|name| section(&file, name)).unwrap_or_default())
    })
    .ok()
}

pub(crate) fn slice(data: &[u8]) -> Slice<'_> {
    EndianSlice::new(data, LittleEndian)
}

fn is_needed(id: SectionId) -> bool {
    use SectionId::{
        DebugAbbrev, DebugAddr, DebugInfo, DebugLine, DebugLineStr, DebugRanges, DebugRngLists, DebugStr,
        DebugStrOffsets,
    };
    matches!(
        id,
        DebugAbbrev
            | DebugAddr
            | DebugInfo
            | DebugLine
            | DebugLineStr
            | DebugRanges
            | DebugRngLists
            | DebugStr
            | DebugStrOffsets
    )
}

fn section<'data>(file: &ElfFile64<'data, LE>, name: &str) -> Cow<'data, [u8]> {
    let packed = file.section_by_name(name).and_then(|section| section.compressed_data().ok());
    let bound = (file.data().len() as u64).saturating_mul(UNPACKED_TIMES_MAX);
    packed
        .filter(|packed| packed.uncompressed_size <= bound)
        .and_then(|packed| packed.decompress().ok())
        .unwrap_or_default()
}
