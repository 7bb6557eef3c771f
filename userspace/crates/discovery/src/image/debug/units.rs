//! Compilation units, opened so that hostile ones cost no more than their bytes.
//!
//! What may be shared between units is where such files hide work: tables of abbreviations are read
//! once each, range lists by a budget, and line tables not at all.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::Arc,
};

use gimli::{
    Abbreviations, Attribute, AttributeValue, DebugAbbrev, DebugAbbrevOffset, DebugAddrBase, DebugInfoOffset,
    DebugLocListsBase, DebugRngListsBase, DebugStrOffsetsBase, Section as _, UnitOffset, UnitType, constants,
};

use super::sections::{Dwarf, Slice};

pub(crate) type Unit<'a> = gimli::Unit<Slice<'a>>;
pub(crate) type Header<'a> = gimli::UnitHeader<Slice<'a>>;
pub(crate) type DwarfValue<'a> = AttributeValue<Slice<'a>>;

/// rustc describes nothing by more attributes than about twenty.
const ATTRIBUTES_MAX: usize = 64;
/// Entries of range lists that are read at most: a large program has about one for each function.
const RANGES_MAX: u32 = 1 << 24;

/// The units of one `.debug_info`.
#[derive(Debug)]
pub(crate) struct Units<'a> {
    pub(crate) dwarf: &'a Dwarf<'a>,
    pub(crate) headers: Vec<Header<'a>>,
    /// The starts of tables of abbreviations, in order: one ends where the next starts.
    tables: Vec<usize>,
    parsed: RefCell<HashMap<usize, Option<Arc<Abbreviations>>>>,
    ranges_left: Cell<u32>,
}

/// A unit's first entry.
#[derive(Debug, Default)]
pub(crate) struct UnitRoot<'a> {
    low_pc: Option<DwarfValue<'a>>,
    high_pc: Option<DwarfValue<'a>>,
    ranges: Option<DwarfValue<'a>>,
    /// The file that holds the rest of the unit.
    pub(crate) dwo_name: Option<DwarfValue<'a>>,
}

impl<'a> Units<'a> {
    pub(crate) fn new(dwarf: &'a Dwarf<'a>) -> Self {
        let mut iterator = dwarf.units();
        let headers: Vec<_> = std::iter::from_fn(|| iterator.next().ok().flatten()).collect();
        let mut tables: Vec<usize> = headers.iter().map(|header| header.debug_abbrev_offset().0).collect();
        tables.sort_unstable();
        tables.dedup();
        Self { dwarf, headers, tables, parsed: RefCell::default(), ranges_left: Cell::new(RANGES_MAX) }
    }

    /// Opens a unit.
    pub(crate) fn open(&self, header: Header<'a>) -> Option<(Unit<'a>, UnitRoot<'a>)> {
        open(self.dwarf, header, self.abbreviations(header.debug_abbrev_offset())?)
    }

    /// The unit that holds an offset of the section, and the offset inside.
    pub(crate) fn holding(&self, offset: DebugInfoOffset) -> Option<(Unit<'a>, UnitOffset)> {
        let start = |header: &Header<'_>| header.debug_info_offset().map(|start| start.0);
        let after = self.headers.partition_point(|header| start(header) <= Some(offset.0));
        let header = *self.headers.get(after.checked_sub(1)?)?;
        let inside = offset.to_unit_offset(&header)?;
        Some((self.open(header)?.0, inside))
    }

    fn abbreviations(&self, at: DebugAbbrevOffset) -> Option<Arc<Abbreviations>> {
        let parse = || {
            let next = self.tables.partition_point(|&start| start <= at.0);
            let section = self.dwarf.debug_abbrev.reader().slice();
            let end = self.tables.get(next).copied().unwrap_or(section.len()).min(section.len());
            let table = DebugAbbrev::new(section.get(at.0..end)?, gimli::LittleEndian);
            table.abbreviations(DebugAbbrevOffset(0)).ok().map(Arc::new)
        };
        self.parsed.borrow_mut().entry(at.0).or_insert_with(parse).clone()
    }

    /// Returns `true` if the unit's code holds one of these addresses, which are in order.
    pub(crate) fn covers(&self, unit: &Unit<'a>, root: &UnitRoot<'a>, addresses: &[u64]) -> bool {
        let holds = |begin: u64, end: u64| {
            let first = addresses.partition_point(|&address| address < begin);
            addresses.get(first).is_some_and(|&address| address < end)
        };
        if let Some(list) = root.ranges {
            let Ok(Some(mut ranges)) = self.dwarf.attr_ranges(unit, list) else { return false };
            while let (Some(left), Ok(Some(range))) = (self.ranges_left.get().checked_sub(1), ranges.next()) {
                self.ranges_left.set(left);
                if holds(range.begin, range.end) {
                    return true;
                }
            }
            return false;
        }
        let address = |value| self.dwarf.attr_address(unit, value).ok().flatten();
        let (Some(begin), Some(high)) = (root.low_pc.and_then(address), root.high_pc) else { return false };
        let end = high.udata_value().map(|len| begin.saturating_add(len)).or_else(|| address(high));
        end.is_some_and(|end| holds(begin, end))
    }
}

/// Opens a unit whose abbreviations are known.
pub(crate) fn open<'a>(
    dwarf: &Dwarf<'a>,
    header: Header<'a>,
    abbreviations: Arc<Abbreviations>,
) -> Option<(Unit<'a>, UnitRoot<'a>)> {
    let attributes = first_entry(header, &abbreviations)?;
    let (encoding, file_type) = (header.encoding(), dwarf.file_type);
    let mut unit = Unit {
        abbreviations,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, file_type),
        addr_base: DebugAddrBase(0),
        loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, file_type),
        rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, file_type),
        line_program: None,
        dwo_id: match header.type_() {
            UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id),
            _ => None,
        },
        header,
    };
    attributes.iter().for_each(|attribute| take_base(&mut unit, attribute));
    let value = |name| attributes.iter().find(|attribute| attribute.name() == name).map(Attribute::value);
    let string = |value| dwarf.attr_string(&unit, value).ok();
    let comp_dir = value(constants::DW_AT_comp_dir).and_then(string);
    let root = UnitRoot {
        low_pc: value(constants::DW_AT_low_pc),
        high_pc: value(constants::DW_AT_high_pc),
        ranges: value(constants::DW_AT_ranges),
        dwo_name: value(constants::DW_AT_dwo_name).or_else(|| value(constants::DW_AT_GNU_dwo_name)),
    };
    let low_pc = root.low_pc.and_then(|value| dwarf.attr_address(&unit, value).ok().flatten());
    (unit.comp_dir, unit.low_pc) = (comp_dir, low_pc.unwrap_or(0));
    Some((unit, root))
}

fn first_entry<'a>(header: Header<'a>, abbreviations: &Abbreviations) -> Option<Vec<Attribute<Slice<'a>>>> {
    let mut entries = header.entries_raw(abbreviations, None).ok()?;
    let abbreviation = entries.read_abbreviation().ok()??;
    let specifications = attributes(abbreviation)?;
    specifications.iter().map(|&specification| entries.read_attribute(specification).ok()).collect()
}

/// An entry's attributes; `None` if they are too many. Some forms take no bytes, so that many entries
/// of many attributes would cost much more than the file is long.
pub(crate) fn attributes(abbreviation: &gimli::Abbreviation) -> Option<&[gimli::AttributeSpecification]> {
    Some(abbreviation.attributes()).filter(|attributes| attributes.len() <= ATTRIBUTES_MAX)
}

fn take_base<'a>(unit: &mut Unit<'a>, attribute: &Attribute<Slice<'a>>) {
    match (attribute.name(), attribute.value()) {
        (constants::DW_AT_str_offsets_base, DwarfValue::DebugStrOffsetsBase(base)) => unit.str_offsets_base = base,
        (constants::DW_AT_addr_base | constants::DW_AT_GNU_addr_base, DwarfValue::DebugAddrBase(base)) => {
            unit.addr_base = base;
        }
        (constants::DW_AT_rnglists_base | constants::DW_AT_GNU_ranges_base, DwarfValue::DebugRngListsBase(base)) => {
            unit.rnglists_base = base;
        }
        (constants::DW_AT_GNU_dwo_id, DwarfValue::DwoId(id)) if unit.dwo_id.is_none() => unit.dwo_id = Some(id),
        _ => {}
    }
}
