//! DWARF's names of the functions that start at given addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use gimli::{DebugInfoOffset, Reader as _, UnitOffset, constants};

use super::{
    DebugSource,
    sections::{self, Dwarf, Slice},
    split::Companions,
    units::{DwarfValue, Unit, Units, attributes},
};
use crate::addr::ElfAddr;

/// Functions by address; several names where code was folded.
pub type Subprograms = BTreeMap<ElfAddr, BTreeSet<String>>;

/// A longer name is no name.
const NAME_LEN_MAX: usize = 1 << 16;
/// One address has no more names than this.
const NAMES_MAX: usize = 64;
/// A function's name may be at its declaration, and that at its abstract origin.
const REFERENCES_MAX: u8 = 4;

/// Reads the units that hold these addresses, and no others.
pub(crate) fn subprograms(source: &DebugSource<'_>, addresses: &BTreeSet<ElfAddr>) -> Subprograms {
    let Some(sections) = sections::load(source.data) else { return Subprograms::new() };
    let wanted: Vec<u64> = addresses.iter().map(|address| address.0).collect();
    in_dwarf(&sections.borrow(|data| sections::slice(data)), source.path, &wanted)
}

/// Returns `true` if some of its DWARF is in other files, `.dwo` or `.dwp`.
pub(crate) fn is_split(source: &DebugSource<'_>) -> bool {
    let Some(sections) = sections::load(source.data) else { return false };
    let dwarf = sections.borrow(|data| sections::slice(data));
    let units = Units::new(&dwarf);
    let mut opened = units.headers.iter().filter_map(|&header| units.open(header));
    opened.any(|(unit, root)| unit.dwo_id.is_some() && root.dwo_name.is_some())
}

fn in_dwarf(dwarf: &Dwarf<'_>, path: Option<&Path>, wanted: &[u64]) -> Subprograms {
    let mut found = Subprograms::new();
    let units = Units::new(dwarf);
    let mut companions = Companions::new(path);
    for &header in &units.headers {
        let Some((unit, root)) = units.open(header) else { continue };
        if !units.covers(&unit, &root, wanted) {
            continue;
        }
        let mut scan = Scan { wanted, found: &mut found };
        if unit.dwo_id.is_some() && root.dwo_name.is_some() {
            companions.with(dwarf, &unit, &root, &mut |units, unit| scan.unit(units, unit));
        } else {
            scan.unit(&units, &unit);
        }
    }
    found
}

struct Scan<'w, 'f> {
    wanted: &'w [u64],
    found: &'f mut Subprograms,
}

/// A function's entry, as far as it was read.
#[derive(Default)]
struct Entry<'a> {
    low_pc: Option<DwarfValue<'a>>,
    name: Option<DwarfValue<'a>>,
    /// The entry that this one is an instance of.
    origin: Option<DwarfValue<'a>>,
}

impl Scan<'_, '_> {
    /// Reads a unit up to its end, or up to what makes no sense.
    fn unit<'a>(&mut self, units: &Units<'a>, unit: &Unit<'a>) -> Option<()> {
        let mut entries = unit.entries_raw(None).ok()?;
        while !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation().ok()? else { continue };
            let specifications = attributes(abbreviation)?;
            if abbreviation.tag() != constants::DW_TAG_subprogram {
                entries.skip_attributes(specifications).ok()?;
                continue;
            }
            let entry = entry(&mut entries, specifications)?;
            self.subprogram(units, unit, &entry);
        }
        Some(())
    }

    fn subprogram<'a>(&mut self, units: &Units<'a>, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<()> {
        let address = units.dwarf.attr_address(unit, entry.low_pc?).ok()??;
        self.wanted.binary_search(&address).ok()?;
        let names = self.found.entry(ElfAddr(address)).or_default();
        if names.len() < NAMES_MAX {
            names.insert(name(units, unit, entry, REFERENCES_MAX)?);
        }
        Some(())
    }
}

fn entry<'a>(
    entries: &mut gimli::EntriesRaw<'_, Slice<'a>>,
    specifications: &[gimli::AttributeSpecification],
) -> Option<Entry<'a>> {
    let mut entry = Entry::default();
    for &specification in specifications {
        let attribute = entries.read_attribute(specification).ok()?;
        match attribute.name() {
            constants::DW_AT_low_pc => entry.low_pc = Some(attribute.value()),
            constants::DW_AT_name => entry.name = Some(attribute.value()),
            constants::DW_AT_abstract_origin | constants::DW_AT_specification => entry.origin = Some(attribute.value()),
            _ => {}
        }
    }
    Some(entry)
}

fn name<'a>(units: &Units<'a>, unit: &Unit<'a>, entry: &Entry<'a>, references: u8) -> Option<String> {
    if let Some(name) = entry.name {
        let name = units.dwarf.attr_string(unit, name).ok()?;
        return (name.len() <= NAME_LEN_MAX).then(|| String::from_utf8_lossy(name.slice()).into_owned());
    }
    let references = references.checked_sub(1)?;
    match entry.origin? {
        DwarfValue::UnitRef(offset) => named_at(units, unit, offset, references),
        DwarfValue::DebugInfoRef(DebugInfoOffset(offset)) => {
            let (unit, offset) = units.holding(DebugInfoOffset(offset))?;
            named_at(units, &unit, offset, references)
        }
        _ => None,
    }
}

fn named_at<'a>(units: &Units<'a>, unit: &Unit<'a>, offset: UnitOffset, references: u8) -> Option<String> {
    let mut entries = unit.entries_raw(Some(offset)).ok()?;
    let specifications = attributes(entries.read_abbreviation().ok()??)?;
    let entry = entry(&mut entries, specifications)?;
    name(units, unit, &entry, references)
}

#[cfg(test)]
mod tests {
    use gimli::SectionId;
    use proptest::prelude::*;

    use super::*;

    /// Code 1: a unit with its addresses; 2: a function with a name; 3: one that refers to another entry.
    const ABBREVIATIONS: &[u8] = &[
        1, 0x11, 1, 0x11, 0x01, 0x12, 0x0b, 0, 0, // compile_unit, children: low_pc addr, high_pc data1
        2, 0x2e, 0, 0x03, 0x08, 0, 0, // subprogram: name string
        3, 0x2e, 0, 0x11, 0x01, 0x31, 0x11, 0, 0, // subprogram: low_pc addr, abstract_origin ref1
        4, 0x2e, 0, 0x11, 0x01, 0x03, 0x08, 0, 0, // subprogram: low_pc addr, name string
        0,
    ];

    /// A unit of DWARF 4 over 0x1000..0x1080 with these entries.
    fn unit(entries: &[&[u8]]) -> Vec<u8> {
        let mut rest = vec![4, 0, 0, 0, 0, 0, 8, 1];
        rest.extend(0x1000_u64.to_le_bytes());
        rest.push(0x80);
        entries.iter().for_each(|entry| rest.extend(*entry));
        rest.push(0);
        let len = u32::try_from(rest.len()).unwrap();
        [len.to_le_bytes().as_slice(), &rest].concat()
    }

    fn names(info: &[u8], abbreviations: &[u8], wanted: &[u64]) -> Vec<String> {
        let section = |id| match id {
            SectionId::DebugInfo => info,
            SectionId::DebugAbbrev => abbreviations,
            _ => &[],
        };
        let dwarf = Dwarf::load(|id| Ok::<_, ()>(sections::slice(section(id)))).unwrap();
        in_dwarf(&dwarf, None, wanted).into_values().flatten().collect()
    }

    fn named(address: u64, name: &str) -> Vec<u8> {
        [&[4], address.to_le_bytes().as_slice(), name.as_bytes(), &[0]].concat()
    }

    fn instance(address: u64, of: u8) -> Vec<u8> {
        [&[3], address.to_le_bytes().as_slice(), &[of]].concat()
    }

    /// The place of a unit's first entry after its root.
    const FIRST: u8 = 21;

    #[test]
    fn finds_names() {
        let check = |entries: &[&[u8]], wanted: &[u64], expected: &[&str]| {
            assert_eq!(names(&unit(entries), ABBREVIATIONS, wanted), expected);
        };
        check(&[&named(0x1000, "poll<A>")], &[0x1000], &["poll<A>"]);
        check(&[&named(0x1000, "poll<A>")], &[0x1001], &[]);
        check(&[&named(0x1000, "a"), &named(0x1000, "b")], &[0x1000], &["a", "b"]);
        check(&[b"\x02origin\0", &instance(0x1010, FIRST)], &[0x1010], &["origin"]);
        // Not in the unit's range, so the unit is not read.
        check(&[&named(0x2000, "a")], &[0x2000], &[]);
        // An entry that is its own origin.
        check(&[&instance(0x1010, FIRST)], &[0x1010], &[]);
        check(&[&instance(0x1010, 0xff)], &[0x1010], &[]);
    }

    #[test]
    fn survives_any_wrong_byte() {
        let info = unit(&[b"\x02origin\0", &instance(0x1010, FIRST), &named(0x1000, "a")]);
        let mutated = |bytes: &[u8], at: usize, byte| [&bytes[..at], &[byte], &bytes[at + 1..]].concat();
        for byte in 0..=u8::MAX {
            (0..info.len()).for_each(|at| drop(names(&mutated(&info, at, byte), ABBREVIATIONS, &[0x1000, 0x1010])));
            (0..ABBREVIATIONS.len())
                .for_each(|at| drop(names(&info, &mutated(ABBREVIATIONS, at, byte), &[0x1000, 0x1010])));
        }
    }

    proptest! {
        #[test]
        fn survives_anything(
            info in proptest::collection::vec(any::<u8>(), 0..200),
            abbreviations in proptest::collection::vec(0u8..32, 0..200),
        ) {
            drop(names(&info, &abbreviations, &[0, 0x1000]));
            drop(names(&unit(&[&info]), &abbreviations, &[0, 0x1000]));
        }
    }
}
