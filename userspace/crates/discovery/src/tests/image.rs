//! Tiny ELF64 images, built in memory without an assembler or a linker.

use object::elf;

/// The code's address in memory; in the file it is at another distance, so that a mix-up shows.
pub(super) const CODE: u64 = 0x31000;
/// The data's address in memory.
pub(super) const DATA: u64 = 0x52000;
/// The address in memory of the file's read-only head.
pub(super) const HEAD: u64 = 0x10000;
/// The head's length in the file; there the code begins.
pub(super) const HEAD_LEN: usize = 0x1000;
const TEXT_AT: usize = 0x400;
/// The distance between functions made by [`Image::of_functions`].
pub(super) const STEP: u64 = 16;

/// The ways in which a file says which address stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pointers {
    /// Position-independent, each a relative relocation.
    Rela,
    /// Position-independent, packed, the addresses in place.
    Relr,
    /// Position-independent, each by a symbol that the file defines.
    Symbolic,
    /// At a fixed address, in place.
    InPlace,
}

impl Pointers {
    pub(super) const ALL: [Self; 4] = [Self::Rela, Self::Relr, Self::Symbolic, Self::InPlace];
}

/// A word of the data.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    /// A number.
    Plain(u64),
    /// The address of a function, by its place in the list.
    Function(usize),
    /// An address.
    Address(u64),
}

/// A symbol of a function, or one that is not defined here.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) address: u64,
    pub(super) defined: bool,
}

/// The parts that an image is made of.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) pointers: Pointers,
    pub(super) machine: u16,
    pub(super) text: Vec<u8>,
    pub(super) code: Vec<u8>,
    /// Start and length of each, as `.eh_frame` states them.
    pub(super) functions: Vec<(u64, u64)>,
    pub(super) data: Vec<Word>,
    pub(super) symbols: Vec<Symbol>,
    /// Relocations besides those of the data's words: place, type, symbol, addend.
    pub(super) relocations: Vec<(u64, u32, u32, u64)>,
}

impl Image {
    /// Nothing but a head.
    pub(super) fn new(pointers: Pointers) -> Self {
        Self {
            pointers,
            machine: elf::EM_X86_64.0,
            text: Vec::new(),
            code: Vec::new(),
            functions: Vec::new(),
            data: Vec::new(),
            symbols: Vec::new(),
            relocations: Vec::new(),
        }
    }

    /// With that many functions that return at once.
    pub(super) fn of_functions(pointers: Pointers, count: usize) -> Self {
        let mut image = Self::new(pointers);
        for index in 0..count as u64 {
            image.code.push(0xc3);
            image.code.extend([0xcc; STEP as usize - 1]);
            image.functions.push((CODE + index * STEP, STEP));
        }
        image
    }

    fn value(&self, word: Word) -> u64 {
        match word {
            Word::Plain(value) | Word::Address(value) => value,
            Word::Function(index) => self.functions[index].0,
        }
    }

    /// Lists the places that the loader sets, and what it sets them to.
    fn set_by_loader(&self) -> Vec<(u64, u64)> {
        let places = (DATA..).step_by(8).zip(&self.data);
        places.filter(|(_, word)| !matches!(word, Word::Plain(_))).map(|(at, &word)| (at, self.value(word))).collect()
    }

    fn data_in_file(&self) -> Vec<u8> {
        let in_place = matches!(self.pointers, Pointers::Relr | Pointers::InPlace);
        let shown = |word| if in_place || matches!(word, Word::Plain(_)) { self.value(word) } else { 0 };
        self.data.iter().flat_map(|&word| shown(word).to_le_bytes()).collect()
    }

    /// All symbols, the null symbol and those that symbolic relocations need among them.
    fn all_symbols(&self) -> Vec<Symbol> {
        let null = Symbol { name: String::new(), address: 0, defined: false };
        let for_words = self.set_by_loader().into_iter().map(|(_, address)| {
            let name = format!("_ZN4name17h{address:016x}E");
            Symbol { name, address, defined: true }
        });
        let needed = if self.pointers == Pointers::Symbolic { usize::MAX } else { 0 };
        [null].into_iter().chain(for_words.take(needed)).chain(self.symbols.iter().cloned()).collect()
    }

    fn rela(&self) -> Vec<u8> {
        let set = (1..).zip(self.set_by_loader());
        let of_words = set.map(|(symbol, (place, target))| match self.pointers {
            Pointers::Symbolic => (place, elf::R_X86_64_GLOB_DAT.0, symbol, 0),
            _ => (place, elf::R_X86_64_RELATIVE.0, 0, target),
        });
        let used = if matches!(self.pointers, Pointers::Rela | Pointers::Symbolic) { usize::MAX } else { 0 };
        let entries = of_words.take(used).chain(self.relocations.iter().copied());
        entries
            .flat_map(|(place, ty, symbol, addend)| [place, u64::from(symbol) << 32 | u64::from(ty), addend])
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    /// The places as the linker packs them: an address, then bitmaps of the 63 words after it.
    fn relr(&self) -> Vec<u8> {
        let used = if self.pointers == Pointers::Relr { usize::MAX } else { 0 };
        let mut places = self.set_by_loader().into_iter().map(|(place, _)| place).take(used).peekable();
        let mut packed = Vec::new();
        while let Some(first) = places.next() {
            packed.push(first);
            let mut from = first + 8;
            loop {
                let mut bits = 0;
                while let Some(place) = places.next_if(|place| place - from < 63 * 8) {
                    bits |= 2 << ((place - from) / 8);
                }
                if bits == 0 {
                    break;
                }
                packed.push(bits | 1);
                from += 63 * 8;
            }
        }
        packed.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; HEAD_LEN];
        file[TEXT_AT..TEXT_AT + self.text.len()].copy_from_slice(&self.text);
        let mut sections = Sections { file, headers: vec![[0; 8]], names: vec![0] };
        let (alloc, exec) = (elf::SHF_ALLOC.0, elf::SHF_EXECINSTR.0);
        let code_at = sections.add(".text", elf::SHT_PROGBITS.0, alloc | exec, CODE, &self.code, 0);
        let data_at = sections.add(".data.rel.ro", elf::SHT_PROGBITS.0, alloc, DATA, &self.data_in_file(), 0);
        let frames = eh_frame(HEAD, &self.functions);
        sections.add(".eh_frame", elf::SHT_PROGBITS.0, alloc, HEAD, &frames, 0);
        sections.add(".rela.dyn", elf::SHT_RELA.0, alloc, 0, &self.rela(), 6);
        sections.add(".relr.dyn", elf::SHT_RELR.0, alloc, 0, &self.relr(), 0);
        let (symbols, names) = symbol_table(&self.all_symbols());
        sections.add(".symtab", elf::SHT_SYMTAB.0, 0, 0, &symbols, 7);
        sections.add(".strtab", elf::SHT_STRTAB.0, 0, 0, &names, 0);
        let segments = [
            (elf::PF_R.0, 0, HEAD, HEAD_LEN as u64),
            (elf::PF_R.0 | elf::PF_X.0, code_at, CODE, self.code.len() as u64),
            (elf::PF_R.0 | elf::PF_W.0, data_at, DATA, self.data.len() as u64 * 8),
        ];
        sections.finish(self, &segments)
    }
}

/// The offset of the program headers in the file.
pub(super) const PROGRAM_HEADERS: usize = 64;
/// A program header's length.
pub(super) const PROGRAM_HEADER_LEN: usize = 56;

struct Sections {
    file: Vec<u8>,
    headers: Vec<[u64; 8]>,
    names: Vec<u8>,
}

impl Sections {
    /// Adds a section; returns the offset of its content in the file.
    fn add(&mut self, name: &str, ty: u32, flags: u64, address: u64, content: &[u8], link: u64) -> u64 {
        self.file.resize(self.file.len().next_multiple_of(16), 0);
        let at = self.file.len() as u64;
        self.file.extend(content);
        let name_at = self.names.len() as u64;
        self.names.extend(name.as_bytes());
        self.names.push(0);
        let entry_len = match elf::SectionType(ty) {
            elf::SHT_RELA | elf::SHT_SYMTAB => 24,
            elf::SHT_RELR => 8,
            _ => 0,
        };
        self.headers.push([
            name_at | u64::from(ty) << 32,
            flags,
            address,
            at,
            content.len() as u64,
            link,
            8,
            entry_len,
        ]);
        at
    }

    fn finish(mut self, image: &Image, segments: &[(u32, u64, u64, u64)]) -> Vec<u8> {
        let mut names = self.names.clone();
        names.extend(b".shstrtab\0");
        self.add(".shstrtab", elf::SHT_STRTAB.0, 0, 0, &names, 0);
        self.file.resize(self.file.len().next_multiple_of(16), 0);
        let table_at = self.file.len() as u64;
        for header in &self.headers {
            self.file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        }
        let head = file_header(image, table_at, self.headers.len() as u16, segments.len() as u16);
        self.file[..head.len()].copy_from_slice(&head);
        for (index, &(flags, offset, address, len)) in segments.iter().enumerate() {
            let words =
                [u64::from(elf::PT_LOAD.0) | u64::from(flags) << 32, offset, address, address, len, len, 0x1000];
            let at = PROGRAM_HEADERS + index * PROGRAM_HEADER_LEN;
            let header: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.file[at..at + header.len()].copy_from_slice(&header);
        }
        self.file
    }
}

fn file_header(image: &Image, sections_at: u64, sections: u16, segments: u16) -> Vec<u8> {
    let kind = if image.pointers == Pointers::InPlace { elf::ET_EXEC } else { elf::ET_DYN };
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    head.extend([kind.0, image.machine].iter().flat_map(|half| half.to_le_bytes()));
    head.extend(1u32.to_le_bytes());
    head.extend([CODE, PROGRAM_HEADERS as u64, sections_at].iter().flat_map(|word| word.to_le_bytes()));
    head.extend(0u32.to_le_bytes());
    let halves = [64, PROGRAM_HEADER_LEN as u16, segments, 64, sections, sections - 1];
    head.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
    head
}

fn symbol_table(symbols: &[Symbol]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut names) = (Vec::new(), vec![0]);
    for symbol in symbols {
        let name = if symbol.name.is_empty() { 0 } else { names.len() as u32 };
        names.extend(symbol.name.as_bytes());
        names.push(0);
        let section = u16::from(symbol.defined);
        table.extend(name.to_le_bytes());
        table.extend([0x12, 0]); // global, a function
        table.extend(section.to_le_bytes());
        table.extend([symbol.address, STEP].iter().flat_map(|word| word.to_le_bytes()));
    }
    (table, names)
}

/// An unwind table that lies at `address`, for functions by start and length.
pub(super) fn eh_frame(address: u64, functions: &[(u64, u64)]) -> Vec<u8> {
    // Length, CIE id, version, "zR", code and data alignment, return register, pointers PC-relative in 4 bytes.
    let mut table = vec![20, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b, 0, 0, 0, 0, 0, 0, 0];
    for &(start, len) in functions {
        let at = table.len() as u64;
        table.extend(20u32.to_le_bytes());
        table.extend((at as u32 + 4).to_le_bytes());
        table.extend((start.wrapping_sub(address + at + 8) as u32).to_le_bytes());
        table.extend((len as u32).to_le_bytes());
        table.extend([0; 8]); // no augmentation; padding
    }
    table.extend([0; 4]);
    table
}
