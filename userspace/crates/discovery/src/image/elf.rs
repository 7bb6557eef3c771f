//! An ELF64 executable for x86-64: what its segments, relocations, symbols and unwind table say.
//!
//! The file is hostile input: every access is checked, and nothing is allocated by a size it states.

use std::{collections::BTreeSet, path::Path, rc::Rc};

use gimli::{BaseAddresses, CieOrFde, EhFrame, EndianSlice, LittleEndian, UnwindSection as _};
use object::{
    LittleEndian as LE,
    elf::{self, FileHeader64, ProgramHeader64, Rela64},
    read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _, Rela as _, SectionHeader as _, SymbolTable},
    read::{Object as _, ObjectSection as _, ObjectSymbol as _},
};

use super::debug::{self, DebugFile, DebugSource, Subprograms};
use crate::addr::{ElfAddr, FileOffset};
use asyncscope_trace::facts::Unreadable;

/// A program has four loaded segments, or a few more; in a hostile file each may be the whole file.
const SEGMENTS_MAX: usize = 64;
/// A program has some forty sections.
const SECTIONS_MAX: usize = 1024;

/// The file, read.
#[derive(Clone, Debug)]
pub struct Elf<'data> {
    data: &'data [u8],
    pub(super) segments: Vec<ElfSegment>,
    /// The addresses that relative relocations put, by place.
    relocated: Vec<(u64, u64)>,
    pub(super) functions: Vec<ElfFunction>,
    /// The runs of instructions of the functions that no unwind table has, by address.
    pub(super) runs: Vec<(ElfAddr, u64)>,
    symbols: Vec<Symbol<'data>>,
    debug: DebugSource<'data>,
    position_independent: bool,
    loader: Option<&'data [u8]>,
    thread_local_len: u64,
    /// The stretches that nobody writes to once the program is loaded, but for what is in no writable segment.
    relocated_only: Vec<(u64, u64)>,
    /// The place in memory that the file states for its program headers.
    pub program_headers: ElfAddr,
    /// The number of bytes its thread-local variables take.
    pub thread_local: u32,
    /// The GNU build id in hexadecimal.
    pub build_id: Option<String>,
}

/// A loaded stretch of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct ElfSegment {
    pub(super) address: u64,
    offset: u64,
    pub(super) size: u64,
    pub(super) executable: bool,
}

/// A function with an entry in `.eh_frame`, or one found without: where instructions surely start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElfFunction {
    /// Its first instruction.
    pub start: ElfAddr,
    /// Its length in bytes.
    pub len: u64,
}

/// A function's symbol, as mangled.
#[derive(Clone, Copy, Debug)]
pub struct Symbol<'data> {
    /// The function's first instruction.
    pub address: ElfAddr,
    /// The function's length in bytes; 0 if the file does not say.
    pub len: u64,
    /// The name as in the file.
    pub name: &'data str,
}

impl<'data> Elf<'data> {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It is no ELF64 executable for this machine.
    pub fn parse(data: &'data [u8]) -> Result<Self, Unreadable> {
        if !data.starts_with(&elf::ELFMAG) {
            return Err(Unreadable::NotElf);
        }
        let file = ElfFile64::<LE>::parse(data).map_err(|error| Unreadable::Malformed { error: error.to_string() })?;
        let header = file.elf_header();
        if header.e_machine(LE) != elf::EM_X86_64 {
            return Err(Unreadable::Machine { machine: header.e_machine(LE).0 });
        }
        let segments = segments(&file);
        let program_headers = program_headers(header, &file, &segments);
        let relocated = relocated(&file, &segments);
        let functions = functions(&file, &segments);
        Ok(Self {
            data,
            relocated,
            functions,
            runs: Vec::new(),
            symbols: symbols(&file),
            debug: DebugSource { data, path: None, separate: false, symbols: false },
            thread_local_len: thread_local_len(&file),
            relocated_only: relocated_only(&file),
            loader: loader(&file),
            position_independent: header.e_type(LE) == elf::ET_DYN,
            program_headers,
            thread_local: thread_local(&file),
            build_id: file.build_id().ok().flatten().map(hexadecimal),
            segments,
        })
    }

    /// The path of the program that loads it, if there is one.
    #[must_use]
    pub fn loader(&self) -> Option<&'data [u8]> {
        self.loader
    }

    /// Returns `true` if it needs libraries.
    #[must_use]
    pub fn needs_libraries(&self) -> bool {
        let Ok(file) = ElfFile64::<LE>::parse(self.data) else { return false };
        let tables =
            file.elf_program_headers().iter().filter_map(|header| header.dynamic(LE, self.data).ok().flatten());
        tables.flatten().any(|entry| entry.d_tag.get(LE) == elf::DT_NEEDED)
    }

    /// The load address of the segment that starts with the file's first byte, if there is one.
    #[must_use]
    pub fn at_file_start(&self) -> Option<ElfAddr> {
        self.segments.iter().find(|segment| segment.offset == 0).map(|segment| ElfAddr(segment.address))
    }

    /// Takes symbols and debug info from another file of the same build, as far as that one has more.
    ///
    /// # Errors
    ///
    /// The other file is no ELF64 executable for this machine.
    pub fn with_debug(mut self, file: &'data DebugFile) -> Result<Self, Unreadable> {
        self.debug.path = Some(file.path());
        let Some(data) = file.data() else { return Ok(self) };
        let other = Self::parse(data)?;
        let symbols = other.symbols.len() > self.symbols.len();
        if symbols {
            self.symbols = other.symbols;
        }
        self.debug = DebugSource { data, path: Some(file.path()), separate: true, symbols };
        Ok(self)
    }

    /// The separate file that names come from: for symbols, or for debug info.
    #[must_use]
    pub fn debug_file(&self, symbols: bool) -> Option<&'data Path> {
        self.debug.path.filter(|_| self.debug.separate && (self.debug.symbols || !symbols))
    }

    /// The names debug info has for the functions that start at these addresses.
    #[must_use]
    pub fn subprograms(&self, addresses: &BTreeSet<ElfAddr>) -> Subprograms {
        debug::subprograms(&self.debug, addresses)
    }

    /// The number of bytes each thread gets for the executable's variables of its own, rounded up as they lie.
    #[must_use]
    pub fn thread_local_len(&self) -> u64 {
        self.thread_local_len
    }

    /// The place of the variable whose mangled name has this part among the executable's thread-local ones, and
    /// its length in bytes. `None` where no symbol says so, or several do.
    #[must_use]
    pub fn thread_local_symbol(&self, part: &str) -> Option<(u64, u64)> {
        let file = ElfFile64::<LE>::parse(self.debug.data).ok()?;
        let variables = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Tls);
        let mut found = variables.filter(|symbol| symbol.name().is_ok_and(|name| name.contains(part)));
        let first = found.next().filter(|symbol| !symbol.is_undefined())?;
        found.next().is_none().then(|| (first.address(), first.size()))
    }

    /// The file that debug info is read from.
    #[must_use]
    pub(crate) fn debug_data(&self) -> &'data [u8] {
        self.debug.data
    }

    /// Returns `true` if debug info of it lies in other files, which may come and go.
    #[must_use]
    pub fn is_split(&self) -> bool {
        debug::is_split(&self.debug)
    }

    /// The whole file.
    #[must_use]
    pub fn data(&self) -> &'data [u8] {
        self.data
    }

    /// The bytes that the file has for the memory from `address` on, at most `len` of them.
    #[must_use]
    pub fn bytes(&self, address: ElfAddr, len: u64) -> &'data [u8] {
        bytes(self.data, &self.segments, address.0, len)
    }

    /// The word that the file has for this address, not regarding relocations.
    #[must_use]
    pub fn word(&self, address: ElfAddr) -> Option<u64> {
        self.bytes(address, 8).try_into().ok().map(u64::from_le_bytes)
    }

    /// The pointer that will stand at this address once the program is loaded.
    #[must_use]
    pub fn pointer(&self, address: ElfAddr) -> Option<ElfAddr> {
        match self.relocated.binary_search_by_key(&address.0, |&(place, _)| place) {
            Ok(found) => Some(ElfAddr(self.relocated[found].1)),
            Err(_) if self.position_independent => None,
            Err(_) => self.word(address).map(ElfAddr),
        }
    }

    /// The pointer that will stand at this address for as long as the program runs.
    #[must_use]
    pub fn constant_pointer(&self, address: ElfAddr) -> Option<ElfAddr> {
        let is_constant = self.relocated_only.iter().any(|&(start, end)| (start..end).contains(&address.0));
        self.pointer(address).filter(|_| is_constant)
    }

    /// Returns `true` if an address will stand here once the program is loaded; where that is fixed, if the
    /// word looks like one.
    #[must_use]
    pub fn holds_address(&self, address: ElfAddr) -> bool {
        match self.pointer(address) {
            Some(pointer) => self.position_independent || segment(&self.segments, pointer.0).is_some(),
            None => false,
        }
    }

    /// Every place that may hold a pointer, in order.
    pub fn pointer_places(&self) -> Box<dyn Iterator<Item = ElfAddr> + '_> {
        if self.position_independent {
            return Box::new(self.relocated.iter().map(|&(place, _)| ElfAddr(place)));
        }
        let data = self.segments.iter().filter(|segment| !segment.executable);
        Box::new(data.flat_map(|segment| {
            let first = segment.address.checked_next_multiple_of(8).unwrap_or(u64::MAX);
            (first..segment.address.saturating_add(segment.size)).step_by(8).map(ElfAddr)
        }))
    }

    /// The function that starts here.
    #[must_use]
    pub fn function_at(&self, address: ElfAddr) -> Option<ElfFunction> {
        let found = self.functions.binary_search_by_key(&address, |function| function.start).ok()?;
        Some(self.functions[found])
    }

    /// All functions of the unwind table, and those found without, by address.
    #[must_use]
    pub fn functions(&self) -> &[ElfFunction] {
        &self.functions
    }

    /// All function symbols, by address; several may share one.
    #[must_use]
    pub fn symbols(&self) -> &[Symbol<'data>] {
        &self.symbols
    }

    /// Forgets the other symbols.
    #[cfg(test)]
    pub(super) fn keep_symbols(&mut self, kept: impl Fn(&str) -> bool) {
        self.symbols.retain(|symbol| kept(symbol.name));
    }

    /// The symbols of the function that starts here.
    #[must_use]
    pub fn symbols_at(&self, address: ElfAddr) -> &[Symbol<'data>] {
        let first = self.symbols.partition_point(|symbol| symbol.address < address);
        let after = self.symbols.partition_point(|symbol| symbol.address <= address);
        &self.symbols[first..after]
    }

    /// The address that this place in the file has in memory.
    #[must_use]
    pub fn address_of(&self, offset: u64) -> Option<ElfAddr> {
        self.segments.iter().find_map(|segment| {
            // Mappings begin at a page, and so before the segment's own beginning.
            let page = segment.offset & !0xfff;
            let is_inside = offset >= page && offset < segment.offset.saturating_add(segment.size);
            let address = segment.address.wrapping_add(offset).wrapping_sub(segment.offset);
            (is_inside && segment.executable).then_some(ElfAddr(address))
        })
    }

    /// The place in the file of the instruction at this address, which is how the kernel wants it named.
    #[must_use]
    pub fn file_offset(&self, address: ElfAddr) -> Option<FileOffset> {
        let (segment, into) = segment(&self.segments, address.0)?;
        if segment.executable { Some(FileOffset(segment.offset.checked_add(into)?)) } else { None }
    }

    /// The file's bytes in memory that are no function's: the segments that are not executable, and of the others,
    /// where some linkers put read-only data, what lies between the functions.
    pub fn loaded_data(&self) -> impl Iterator<Item = &'data [u8]> + '_ {
        self.segments.iter().flat_map(move |segment| {
            let functions = if segment.executable { self.functions_in(segment) } else { &[] };
            let end = segment.address.saturating_add(segment.size);
            let ends =
                functions.iter().map(|function| (function.start.0, function.start.0.saturating_add(function.len)));
            let mut from = segment.address;
            ends.chain([(end, end)]).map(move |(start, next)| {
                let between = self.bytes(ElfAddr(from), start.saturating_sub(from));
                from = from.max(next);
                between
            })
        })
    }

    fn functions_in(&self, segment: &ElfSegment) -> &[ElfFunction] {
        let end = segment.address.saturating_add(segment.size);
        let first = self.functions.partition_point(|function| function.start.0 < segment.address);
        let after = self.functions.partition_point(|function| function.start.0 < end);
        self.functions.get(first..after).unwrap_or_default()
    }
}

/// The segment that the address lies in, and how far into it.
fn segment(segments: &[ElfSegment], address: u64) -> Option<(ElfSegment, u64)> {
    segments.iter().find_map(|segment| {
        let into = address.checked_sub(segment.address)?;
        (into < segment.size).then_some((*segment, into))
    })
}

fn bytes<'data>(data: &'data [u8], segments: &[ElfSegment], address: u64, len: u64) -> &'data [u8] {
    let Some((segment, into)) = segment(segments, address) else { return &[] };
    let start = segment.offset + into;
    let end = start + len.min(segment.size - into);
    data.get(start as usize..end as usize).unwrap_or(&[])
}

/// No segment reaches beyond the file: neither its place in it nor its size can overflow.
fn segments(file: &ElfFile64<'_, LE>) -> Vec<ElfSegment> {
    let loaded = file.elf_program_headers().iter().filter(|header| header.p_type(LE) == elf::PT_LOAD);
    let len = file.data().len() as u64;
    loaded
        .take(SEGMENTS_MAX)
        .map(|header: &ProgramHeader64<LE>| {
            let offset = header.p_offset(LE).min(len);
            ElfSegment {
                address: header.p_vaddr(LE),
                offset,
                size: header.p_filesz(LE).min(len - offset),
                executable: header.p_flags(LE) & elf::PF_X == elf::PF_X,
            }
        })
        .collect()
}

fn loader<'data>(file: &ElfFile64<'data, LE>) -> Option<&'data [u8]> {
    file.elf_program_headers().iter().find_map(|header| header.interpreter(LE, file.data()).ok()?)
}

/// Returns the length of the thread-local variables. On x86-64 the executable's own end where the thread pointer points.
fn thread_local_len(file: &ElfFile64<'_, LE>) -> u64 {
    let stated = file.elf_program_headers().iter().find(|header| header.p_type(LE) == elf::PT_TLS);
    let len = stated.and_then(|header| header.p_memsz(LE).checked_next_multiple_of(header.p_align(LE).max(1)));
    len.unwrap_or(0)
}

/// Returns the stretches that the loader makes read-only after it has relocated them (`PT_GNU_RELRO`).
fn relocated_only(file: &ElfFile64<'_, LE>) -> Vec<(u64, u64)> {
    let headers = file.elf_program_headers().iter().filter(|header| header.p_type(LE) == elf::PT_GNU_RELRO);
    let stretch =
        |header: &ProgramHeader64<LE>| (header.p_vaddr(LE), header.p_vaddr(LE).saturating_add(header.p_memsz(LE)));
    headers.take(SEGMENTS_MAX).map(stretch).collect()
}

fn thread_local(file: &ElfFile64<'_, LE>) -> u32 {
    let headers = file.elf_program_headers().iter();
    let len = headers.filter(|header| header.p_type(LE) == elf::PT_TLS).map(|header| header.p_memsz(LE)).next();
    len.and_then(|len| u32::try_from(len).ok()).unwrap_or(0)
}

fn program_headers(header: &FileHeader64<LE>, file: &ElfFile64<'_, LE>, segments: &[ElfSegment]) -> ElfAddr {
    let stated = file.elf_program_headers().iter().find(|header| header.p_type(LE) == elf::PT_PHDR);
    let offset = header.e_phoff(LE);
    let derived = || segments.iter().find(|segment| segment.offset <= offset && offset - segment.offset < segment.size);
    match (stated, derived()) {
        (Some(stated), _) => ElfAddr(stated.p_vaddr(LE)),
        (None, Some(segment)) => ElfAddr(segment.address.wrapping_add(offset - segment.offset)),
        (None, None) => ElfAddr(offset),
    }
}

/// Relocations that put an address of this file somewhere: relative ones, packed or not, and those by
/// a symbol that the file defines itself.
fn relocated(file: &ElfFile64<'_, LE>, segments: &[ElfSegment]) -> Vec<(u64, u64)> {
    let (data, table) = (file.data(), file.elf_section_table());
    // Each is of another word of the file, unless sections overlap.
    let count_max = data.len() / 8;
    let stated = table.iter().take(SECTIONS_MAX).filter_map(|section| section.rela(LE, data).ok()?);
    let stated = stated.flat_map(|(entries, link)| {
        let symbols = Rc::new(table.symbol_table_by_index(LE, data, link).ok());
        entries.iter().map(move |entry| (entry, Rc::clone(&symbols)))
    });
    let stated = stated.take(count_max).filter_map(|(entry, symbols)| {
        Some((entry.r_offset.get(LE), relocation_target(entry, symbols.as_ref().as_ref())?))
    });
    let packed = table.iter().take(SECTIONS_MAX).filter_map(|section| section.relr(LE, data).ok()?).flatten();
    let packed = packed.take(count_max).filter_map(|place| {
        let word = bytes(data, segments, place, 8).try_into().ok().map(u64::from_le_bytes)?;
        Some((place, word))
    });
    let mut places: Vec<_> = stated.chain(packed).collect();
    places.sort_unstable();
    places.dedup_by_key(|&mut (place, _)| place);
    places
}

fn relocation_target(entry: &Rela64<LE>, symbols: Option<&SymbolTable<'_, FileHeader64<LE>>>) -> Option<u64> {
    let addend = entry.r_addend.get(LE) as u64;
    match entry.r_type(LE, false) {
        elf::R_X86_64_RELATIVE => Some(addend),
        elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT => {
            let symbol = symbols?.symbol(entry.symbol(LE, false)?).ok()?;
            let defined = symbol.st_shndx.get(LE) != elf::SHN_UNDEF;
            defined.then(|| symbol.st_value.get(LE).wrapping_add(addend))
        }
        _ => None,
    }
}

fn functions(file: &ElfFile64<'_, LE>, segments: &[ElfSegment]) -> Vec<ElfFunction> {
    let Some(section) = file.section_by_name(".eh_frame") else { return Vec::new() };
    let Ok(data) = section.data() else { return Vec::new() };
    let eh_frame = EhFrame::new(data, LittleEndian);
    let mut bases = BaseAddresses::default().set_eh_frame(section.address());
    if let Some(text) = file.section_by_name(".text") {
        bases = bases.set_text(text.address());
    }
    let in_code = |start: u64, len: u64| {
        segments.iter().any(|s| {
            s.executable && start >= s.address && start.saturating_add(len) <= s.address.saturating_add(s.size)
        })
    };
    let mut functions = Vec::new();
    let mut entries = eh_frame.entries(&bases);
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let parsed = partial.parse(|section: &EhFrame<EndianSlice<'_, LittleEndian>>, bases, offset| {
            section.cie_from_offset(bases, offset)
        });
        let Ok(fde) = parsed else { continue };
        if fde.len() > 0 && in_code(fde.initial_address(), fde.len()) {
            functions.push(ElfFunction { start: ElfAddr(fde.initial_address()), len: fde.len() });
        }
    }
    functions.sort_unstable_by_key(|function| (function.start, function.len));
    functions.dedup_by_key(|function| function.start);
    without_overlaps(functions)
}

/// Drops the first of two that overlap: its end need not lie between two instructions. So no
/// byte belongs to two functions, however many the file states.
fn without_overlaps(functions: Vec<ElfFunction>) -> Vec<ElfFunction> {
    let mut next = u64::MAX;
    let mut alone: Vec<_> = functions
        .into_iter()
        .rev()
        .filter(|function| {
            let end = function.start.0.saturating_add(function.len);
            end <= std::mem::replace(&mut next, function.start.0)
        })
        .collect();
    alone.reverse();
    alone
}

fn symbols<'data>(file: &ElfFile64<'data, LE>) -> Vec<Symbol<'data>> {
    let functions = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.is_definition());
    let mut symbols: Vec<_> = functions
        .filter_map(|symbol| {
            let name = symbol.name().ok()?;
            Some(Symbol { address: ElfAddr(symbol.address()), len: symbol.size(), name })
        })
        .collect();
    symbols.sort_by_key(|symbol| (symbol.address, symbol.name));
    symbols
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
