//! Where code is mapped, and its unwind tables, both as the target's memory has them: also of a file that was
//! replaced or deleted, and of the kernel's own code in the process.

use std::ops::Range;

use gimli::{
    BaseAddresses, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, FrameDescriptionEntry, LittleEndian, Pointer,
    UnwindSection as _,
};
use object::{
    LittleEndian as LE,
    elf::{self, FileHeader64},
    read::elf::{FileHeader as _, ProgramHeader as _},
};

use asyncscope_discovery::process::procfs::Mapping;

pub(super) type TableSlice<'a> = EndianSlice<'a, LittleEndian>;

/// An ELF file's headers lie in its first bytes.
const HEADERS_LEN: usize = 4096;
/// A process has some hundred mappings of code; more are not looked at.
const MAPPINGS_MAX: usize = 4096;
/// Tables longer than this, in bytes, are not read.
const TABLE_MAX: u64 = 256 << 20;

/// Code of one file, with its unwind tables. All addresses are those in memory.
#[derive(Debug)]
pub struct Module {
    /// The file, as the kernel names it; to be shown.
    pub name: String,
    /// The distance by which its addresses were moved.
    pub bias: u64,
    /// Its code, by mappings.
    code: Vec<Range<u64>>,
    header: Vec<u8>,
    header_at: u64,
    table: Vec<u8>,
    table_at: u64,
}

/// The modules of a process.
#[derive(Debug, Default)]
pub struct Modules(Vec<Module>);

impl Modules {
    /// Finds what code is mapped. `read` reads the process's memory into a buffer, and returns how many bytes it got.
    pub fn find(maps: &[Mapping], read: &mut dyn FnMut(u64, &mut [u8]) -> usize) -> Self {
        let mut modules: Vec<(u64, Module)> = Vec::new();
        let mut base: Option<&Mapping> = None;
        for mapping in maps.iter().filter(|mapping| !mapping.path.is_empty()).take(MAPPINGS_MAX) {
            if mapping.offset == 0 {
                base = Some(mapping);
            }
            let Some(start) = base.filter(|base| base.has_file_of(mapping) && mapping.is_code()) else { continue };
            let start = start.range.start;
            match modules.last_mut().filter(|(of, _)| *of == start) {
                Some((_, module)) => module.code.push(mapping.range.clone()),
                None => modules.extend(Module::read(mapping, start, read).map(|module| (start, module))),
            }
        }
        Self(modules.into_iter().map(|(_, module)| module).collect())
    }

    /// The module with code at this address.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<&Module> {
        self.0.iter().find(|module| module.code.iter().any(|code| code.contains(&address)))
    }
}

impl Module {
    /// `None` where there is no unwind table with an index.
    fn read(code: &Mapping, start: u64, read: &mut dyn FnMut(u64, &mut [u8]) -> usize) -> Option<Self> {
        let mut headers = vec![0; HEADERS_LEN];
        let len = read(start, &mut headers);
        let headers = headers.get(..len)?;
        let file = FileHeader64::<LE>::parse(headers).ok()?;
        let segments = file.program_headers(LE, headers).ok()?;
        let first = segments.iter().find(|segment| segment.p_type(LE) == elf::PT_LOAD)?;
        let bias = start.wrapping_sub(first.p_vaddr(LE).wrapping_sub(first.p_offset(LE)));
        let index = segments.iter().find(|segment| segment.p_type(LE) == elf::PT_GNU_EH_FRAME)?;
        let header_at = bias.wrapping_add(index.p_vaddr(LE));
        let header = read_exactly(header_at, index.p_memsz(LE), read)?;
        let bases = BaseAddresses::default().set_eh_frame_hdr(header_at);
        let parsed = EhFrameHdr::new(&header, LittleEndian).parse(&bases, 8).ok()?;
        let table_at = parsed.eh_frame_ptr().direct().ok()?;
        // The table's own length is not reported: it ends with its segment at the latest.
        let within = segments.iter().filter(|segment| segment.p_type(LE) == elf::PT_LOAD).find_map(|segment| {
            let into = table_at.checked_sub(bias.wrapping_add(segment.p_vaddr(LE)))?;
            segment.p_filesz(LE).checked_sub(into).filter(|&len| len > 0)
        })?;
        let table = read_exactly(table_at, within, read)?;
        let (name, code) = (code.name(), vec![code.range.clone()]);
        Some(Self { name, bias, code, header, header_at, table, table_at })
    }

    /// Returns how far into the table an address lies.
    fn place_in_table(&self, address: u64) -> Option<u64> {
        address.checked_sub(self.table_at).filter(|&into| into < self.table.len() as u64)
    }

    /// Returns the address at which the function with code at this address starts, by the unwind table.
    #[must_use]
    pub fn function_start(&self, address: u64) -> Option<u64> {
        let (_, _, fde) = self.entry(address)?;
        Some(fde.initial_address()).filter(|start| address.wrapping_sub(*start) < fde.len())
    }

    /// Returns the table, its bases, and the entry that the index has for an address: the function may have ended
    /// before.
    pub(super) fn entry(
        &self,
        address: u64,
    ) -> Option<(EhFrame<TableSlice<'_>>, BaseAddresses, FrameDescriptionEntry<TableSlice<'_>>)> {
        let (header, table, bases) = self.tables();
        let header = header.parse(&bases, 8).ok()?;
        let entry = header.table()?.lookup(address, &bases).and_then(Pointer::direct);
        // The index may say anything.
        let offset = usize::try_from(self.place_in_table(entry.ok()?)?).ok()?;
        let fde = table.fde_from_offset(&bases, EhFrameOffset(offset), EhFrame::cie_from_offset).ok()?;
        Some((table, bases, fde))
    }

    fn tables(&self) -> (EhFrameHdr<TableSlice<'_>>, EhFrame<TableSlice<'_>>, BaseAddresses) {
        let bases = BaseAddresses::default().set_eh_frame_hdr(self.header_at).set_eh_frame(self.table_at);
        (EhFrameHdr::new(&self.header, LittleEndian), EhFrame::new(&self.table, LittleEndian), bases)
    }
}

fn read_exactly(at: u64, len: u64, read: &mut dyn FnMut(u64, &mut [u8]) -> usize) -> Option<Vec<u8>> {
    let len = usize::try_from(len).ok().filter(|_| len <= TABLE_MAX)?;
    // Read piece by piece, so that a false length does not take memory for what is not there.
    const PIECE: usize = 1 << 20;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let (from, piece) = (bytes.len(), PIECE.min(len - bytes.len()));
        bytes.resize(from + piece, 0);
        if read(at.wrapping_add(from as u64), bytes.get_mut(from..)?) != piece {
            return None;
        }
    }
    Some(bytes)
}
