//! Types as debug info describes them, read one at a time and by need.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use gimli::{DebugInfoOffset, DebugLineOffset, UnitOffset, constants};

use crate::image::debug::{
    sections::Slice,
    units::{DwarfValue, Unit, Units, attributes},
};

/// A type's place in `.debug_info`.
pub(super) type DieOffset = usize;

/// A type has no more parts than this: an `async fn` one for each await and each local kept over one.
const PARTS_MAX: usize = 1 << 14;
/// No more tables of lines are opened than this.
const LINE_TABLES_MAX: usize = 1 << 12;

/// The kind of a type, as far as that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Other,
    Struct,
    Union,
    Pointer,
    Base,
}

/// A type.
#[derive(Debug, Default)]
pub(super) struct Type<'a> {
    pub(super) kind: Kind,
    /// Without the path to it, but pointers.
    pub(super) name: &'a str,
    /// In bytes.
    pub(super) size: u64,
    /// Only its name is here.
    pub(super) declaration: bool,
    /// The type that a pointer points to.
    pub(super) target: Option<DieOffset>,
    /// The type that a vtable's type is for.
    pub(super) containing: Option<DieOffset>,
    /// Members that it always has.
    pub(super) members: Vec<Member<'a>>,
    /// The types that it was made with.
    pub(super) parameters: Vec<DieOffset>,
    /// Its variants, if it has any.
    pub(super) choice: Option<Choice<'a>>,
}

/// A part of a type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) offset: u64,
    pub(super) at: DieOffset,
    /// The unit's number for the file; 0: not stated.
    file: u64,
    line: u64,
}

/// The variants of a type.
#[derive(Debug, Default)]
pub(super) struct Choice<'a> {
    /// The member that says which variant it is; `None`: there is only one.
    pub(super) discriminant: Option<Member<'a>>,
    pub(super) variants: Vec<Alternative<'a>>,
    /// Something about them could not be understood.
    pub(super) broken: bool,
}

/// One variant.
#[derive(Debug, Default)]
pub(super) struct Alternative<'a> {
    /// `None`: where no other fits.
    pub(super) value: Option<u64>,
    pub(super) member: Member<'a>,
}

/// A place in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceLocation {
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// All types of a file.
pub(super) struct Dies<'a> {
    pub(super) units: Units<'a>,
    opened: RefCell<HashMap<usize, Option<Rc<Unit<'a>>>>>,
    types: RefCell<HashMap<DieOffset, Option<Rc<Type<'a>>>>>,
    lines: RefCell<HashMap<usize, Option<Rc<gimli::LineProgramHeader<Slice<'a>>>>>>,
}

impl<'a> Dies<'a> {
    pub(super) fn new(units: Units<'a>) -> Self {
        Self { units, opened: RefCell::default(), types: RefCell::default(), lines: RefCell::default() }
    }

    /// The unit with this number.
    pub(super) fn unit(&self, number: usize) -> Option<Rc<Unit<'a>>> {
        if let Some(unit) = self.opened.borrow().get(&number) {
            return unit.clone();
        }
        let unit = self.units.headers.get(number).and_then(|&header| self.units.open(header));
        let unit = unit.map(|(unit, _)| Rc::new(unit));
        self.opened.borrow_mut().insert(number, unit.clone());
        unit
    }

    /// The unit that holds a place.
    fn unit_of(&self, at: DieOffset) -> Option<(Rc<Unit<'a>>, UnitOffset)> {
        let headers = &self.units.headers;
        let after = headers.partition_point(|header| header.debug_info_offset().is_none_or(|start| start.0 <= at));
        let number = after.checked_sub(1)?;
        let inside = DebugInfoOffset(at).to_unit_offset(headers.get(number)?)?;
        Some((self.unit(number)?, inside))
    }

    /// The type at this place.
    pub(super) fn get(&self, at: DieOffset) -> Option<Rc<Type<'a>>> {
        if let Some(known) = self.types.borrow().get(&at) {
            return known.clone();
        }
        let read = self.unit_of(at).and_then(|(unit, inside)| self.read(&unit, inside)).map(Rc::new);
        self.types.borrow_mut().insert(at, read.clone());
        read
    }

    fn read(&self, unit: &Unit<'a>, at: UnitOffset) -> Option<Type<'a>> {
        let mut entries = unit.entries_raw(Some(at)).ok()?;
        let abbreviation = entries.read_abbreviation().ok()??;
        let mut found = Type {
            kind: match abbreviation.tag() {
                constants::DW_TAG_structure_type => Kind::Struct,
                constants::DW_TAG_union_type => Kind::Union,
                constants::DW_TAG_pointer_type => Kind::Pointer,
                constants::DW_TAG_base_type => Kind::Base,
                _ => Kind::Other,
            },
            ..Type::default()
        };
        let has_parts = abbreviation.has_children();
        for &specification in attributes(abbreviation)? {
            let attribute = entries.read_attribute(specification).ok()?;
            match attribute.name() {
                constants::DW_AT_name => found.name = self.text(unit, attribute.value())?,
                constants::DW_AT_byte_size => found.size = attribute.udata_value()?,
                constants::DW_AT_declaration => found.declaration = true,
                constants::DW_AT_type => found.target = place(unit, attribute.value()),
                constants::DW_AT_containing_type => found.containing = place(unit, attribute.value()),
                _ => {}
            }
        }
        if has_parts {
            self.parts(unit, &mut entries, &mut found)?;
        }
        Some(found)
    }

    /// Reads the entries inside a type, up to its end.
    fn parts(
        &self,
        unit: &Unit<'a>,
        entries: &mut gimli::EntriesRaw<'_, Slice<'a>>,
        found: &mut Type<'a>,
    ) -> Option<()> {
        // Depth 1: members. Depth 2 of a variant part: its discriminant and its variants; 3: a variant's member.
        let (mut in_choice, mut in_variant) = (false, false);
        let mut discriminant_at = None;
        for _ in 0..PARTS_MAX {
            let (depth, here) = (entries.next_depth(), entries.next_offset());
            if depth <= 0 || entries.is_empty() {
                return Some(());
            }
            let Some(abbreviation) = entries.read_abbreviation().ok()? else { continue };
            let (tag, specifications) = (abbreviation.tag(), attributes(abbreviation)?);
            in_choice &= depth > 1;
            in_variant &= depth > 2;
            match (depth, tag) {
                (1, constants::DW_TAG_member) => found.members.push(self.member(unit, entries, specifications)?),
                (1, constants::DW_TAG_template_type_parameter) => {
                    found.parameters.extend(Self::type_of(unit, entries, specifications));
                }
                (1, constants::DW_TAG_variant_part) => {
                    discriminant_at = Self::reference(unit, entries, specifications, constants::DW_AT_discr).ok()?;
                    (in_choice, found.choice) = (true, Some(Choice::default()));
                }
                (2, constants::DW_TAG_member) if in_choice => {
                    let member = self.member(unit, entries, specifications)?;
                    if discriminant_at == absolute(unit, here) {
                        found.choice.as_mut()?.discriminant = Some(member);
                    }
                }
                (2, constants::DW_TAG_variant) if in_choice => {
                    in_variant = true;
                    let value = Self::value(entries, specifications)?;
                    let choice = found.choice.as_mut()?;
                    choice.broken |= value.is_err();
                    choice.variants.push(Alternative { value: value.unwrap_or(None), ..Alternative::default() });
                }
                (3, constants::DW_TAG_member) if in_variant => {
                    let member = self.member(unit, entries, specifications)?;
                    found.choice.as_mut()?.variants.last_mut()?.member = member;
                }
                _ => entries.skip_attributes(specifications).ok()?,
            }
        }
        None
    }

    fn member(
        &self,
        unit: &Unit<'a>,
        entries: &mut gimli::EntriesRaw<'_, Slice<'a>>,
        specifications: &[gimli::AttributeSpecification],
    ) -> Option<Member<'a>> {
        let mut member = Member::default();
        for &specification in specifications {
            let attribute = entries.read_attribute(specification).ok()?;
            match attribute.name() {
                constants::DW_AT_name => member.name = self.text(unit, attribute.value())?,
                constants::DW_AT_type => member.at = place(unit, attribute.value())?,
                constants::DW_AT_data_member_location => member.offset = attribute.udata_value()?,
                constants::DW_AT_decl_file => {
                    member.file = match attribute.value() {
                        DwarfValue::FileIndex(file) => file,
                        other => other.udata_value().unwrap_or(0),
                    }
                }
                constants::DW_AT_decl_line => member.line = attribute.udata_value().unwrap_or(0),
                _ => {}
            }
        }
        Some(member)
    }

    /// A variant's discriminant: `Ok(None)` where it has none, `Err` where it is no number of 64 bits.
    fn value(
        entries: &mut gimli::EntriesRaw<'_, Slice<'a>>,
        specifications: &[gimli::AttributeSpecification],
    ) -> Option<Result<Option<u64>, ()>> {
        let mut value = Ok(None);
        for &specification in specifications {
            let attribute = entries.read_attribute(specification).ok()?;
            match attribute.name() {
                constants::DW_AT_discr_value => {
                    let signed = || attribute.sdata_value().map(|value| value as u64);
                    value = attribute.udata_value().or_else(signed).map(Some).ok_or(());
                }
                constants::DW_AT_discr_list => value = Err(()),
                _ => {}
            }
        }
        Some(value)
    }

    /// The entry that an attribute refers to, if there is such an attribute.
    fn reference(
        unit: &Unit<'a>,
        entries: &mut gimli::EntriesRaw<'_, Slice<'a>>,
        specifications: &[gimli::AttributeSpecification],
        name: gimli::DwAt,
    ) -> gimli::Result<Option<DieOffset>> {
        let mut found = None;
        for &specification in specifications {
            let attribute = entries.read_attribute(specification)?;
            if attribute.name() == name {
                found = place(unit, attribute.value());
            }
        }
        Ok(found)
    }

    /// The type that an entry refers to.
    pub(super) fn type_of(
        unit: &Unit<'a>,
        entries: &mut gimli::EntriesRaw<'_, Slice<'a>>,
        specifications: &[gimli::AttributeSpecification],
    ) -> Option<DieOffset> {
        Self::reference(unit, entries, specifications, constants::DW_AT_type).ok()?
    }

    /// A string; `None` if it is not UTF-8, which no name of Rust's is.
    pub(super) fn text(&self, unit: &Unit<'a>, value: DwarfValue<'a>) -> Option<&'a str> {
        let text = self.units.dwarf.attr_string(unit, value).ok()?;
        std::str::from_utf8(text.slice()).ok()
    }

    /// The source line that declares a part of the type at `at`.
    pub(super) fn source(&self, at: DieOffset, member: &Member<'_>) -> SourceLocation {
        let line = u32::try_from(member.line).ok().filter(|&line| line > 0);
        let unit = self.unit_of(at).map(|(unit, _)| unit);
        SourceLocation { file: unit.and_then(|unit| self.file(&unit, member.file)), line }
    }

    fn file(&self, unit: &Unit<'a>, number: u64) -> Option<String> {
        let lines = self.lines(unit)?;
        let entry = lines.file(number)?;
        let text =
            |value| Some(String::from_utf8_lossy(self.units.dwarf.attr_string(unit, value).ok()?.slice()).into_owned());
        let name = text(entry.path_name())?;
        if name.starts_with('/') {
            return Some(shortened(&name));
        }
        let directory = entry.directory(&lines).and_then(text).unwrap_or_default();
        Some(shortened(&if directory.is_empty() { name } else { format!("{directory}/{name}") }))
    }

    fn lines(&self, unit: &Unit<'a>) -> Option<Rc<gimli::LineProgramHeader<Slice<'a>>>> {
        let DebugLineOffset(table) = line_table(unit)?;
        let mut lines = self.lines.borrow_mut();
        if lines.len() >= LINE_TABLES_MAX && !lines.contains_key(&table) {
            return None;
        }
        let open = || {
            let size = unit.header.encoding().address_size;
            let program = self.units.dwarf.debug_line.program(DebugLineOffset(table), size, unit.comp_dir, unit.name);
            program.ok().map(|program| Rc::new(program.header().clone()))
        };
        lines.entry(table).or_insert_with(open).clone()
    }
}

fn line_table(unit: &Unit<'_>) -> Option<DebugLineOffset> {
    let mut entries = unit.entries_raw(None).ok()?;
    let specifications = attributes(entries.read_abbreviation().ok()??)?;
    let mut found = None;
    for &specification in specifications {
        let attribute = entries.read_attribute(specification).ok()?;
        if let (constants::DW_AT_stmt_list, DwarfValue::DebugLineRef(table)) = (attribute.name(), attribute.value()) {
            found = Some(table);
        }
    }
    found
}

/// The place that a reference leads to.
pub(super) fn place(unit: &Unit<'_>, value: DwarfValue<'_>) -> Option<DieOffset> {
    match value {
        DwarfValue::UnitRef(inside) => absolute(unit, inside),
        DwarfValue::DebugInfoRef(DebugInfoOffset(at)) => Some(at),
        _ => None,
    }
}

pub(super) fn absolute(unit: &Unit<'_>, inside: UnitOffset) -> Option<DieOffset> {
    inside.to_debug_info_offset(&unit.header).map(|DebugInfoOffset(at)| at)
}

/// Words a path as a person would: `tokio-1.54.1/src/time/sleep.rs`, not where cargo keeps it.
fn shortened(path: &str) -> String {
    if let Some((_, inside)) = path.split_once("/registry/src/") {
        return inside.split_once('/').map_or(inside, |(_, inside)| inside).to_owned();
    }
    if let Some(inside) = path.strip_prefix("/rustc/") {
        return inside.split_once('/').map_or(inside, |(_, inside)| inside).to_owned();
    }
    path.to_owned()
}
