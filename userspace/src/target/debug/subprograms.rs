//! What DWARF calls the functions that start at given addresses.

use std::collections::{BTreeMap, BTreeSet};

use gimli::{DebugInfoOffset, Reader as _, UnitOffset, constants};

use super::{
    Source,
    sections::{self, Slice},
    split::Companions,
    units::{Unit, Units, Value, attributes},
};
use crate::target::addr::ElfAddr;

/// Functions by address; several names where code was folded.
pub type Subprograms = BTreeMap<ElfAddr, BTreeSet<String>>;

/// A longer name is no name.
const NAME_LEN_MAX: usize = 1 << 16;
/// One address has no more names than this.
const NAMES_MAX: usize = 64;
/// A function's name may be at its declaration, and that at its abstract origin.
const REFERENCES_MAX: u8 = 4;

/// Reads the units that hold these addresses, and no others.
pub(in crate::target) fn subprograms(source: &Source<'_>, addresses: &BTreeSet<ElfAddr>) -> Subprograms {
    let mut found = Subprograms::new();
    let Some(sections) = sections::load(source.data) else { return found };
    let dwarf = sections.borrow(|data| sections::slice(data));
    let units = Units::new(&dwarf);
    let wanted: Vec<u64> = addresses.iter().map(|address| address.0).collect();
    let mut companions = Companions::new(source.path);
    for &header in &units.headers {
        let Some((unit, root)) = units.open(header) else { continue };
        if !units.covers(&unit, &root, &wanted) {
            continue;
        }
        let mut scan = Scan { wanted: &wanted, found: &mut found };
        if unit.dwo_id.is_some() && root.dwo_name.is_some() {
            companions.with(&dwarf, &unit, &root, &mut |units, unit| scan.unit(units, unit));
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
    low_pc: Option<Value<'a>>,
    name: Option<Value<'a>>,
    /// The entry that this one is an instance of.
    origin: Option<Value<'a>>,
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
        Value::UnitRef(offset) => named_at(units, unit, offset, references),
        Value::DebugInfoRef(DebugInfoOffset(offset)) => {
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
