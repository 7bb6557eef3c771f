//! Damaged files: discovery may find less, or refuse, and nothing else.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use iced_x86::code_asm::*;
use object::{
    LittleEndian as LE,
    read::elf::{ElfFile64, FileHeader as _},
    read::{Object as _, ObjectSection as _},
};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};

use super::{
    asm::{Asm, asm},
    image::{self, PROGRAM_HEADER_LEN, PROGRAM_HEADERS, Pointers, Symbol, Word},
    own::{OWN, Own, sound},
};
use crate::{addr::ElfAddr, discover, image::elf::Elf};

/// Tries that many times what is found in the file with 1 to 63 other bytes in one of its regions.
fn damaged(cases: u32, file: Vec<u8>, regions: &[Range<usize>]) {
    let file = RefCell::new(file);
    let damage = (0..regions.len(), vec((any::<Index>(), any::<u8>()), 1..64));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    let outcome = TestRunner::new(config).run(&damage, |(region, changes)| {
        let range = regions[region].clone();
        let before = file.borrow()[range.clone()].to_vec();
        for (index, byte) in changes {
            file.borrow_mut()[range.start + index.index(range.len())] = byte;
        }
        if let Some(plan) = Elf::parse(&file.borrow()).ok().and_then(|elf| discover(&elf).ok()) {
            sound(&file.borrow(), &plan);
        }
        file.borrow_mut()[range].copy_from_slice(&before);
        Ok(())
    });
    outcome.unwrap();
}

/// Two task types whose poll function has a bit of everything.
fn small(pointers: Pointers) -> Vec<u8> {
    let assembled = Asm::assembled(|a| {
        let (mut again, mut out, mut other) = (a.create_label(), a.create_label(), a.create_label());
        asm!(a: push rbp; mov rbp, rsp; sub rsp, 0x28; mov qword_ptr(rsp + 8), rdi; mov rbx, rdi;);
        asm!(a: mov rax, qword_ptr(rbx); set_label &mut again; mov rdx, rax; and rdx, !7i32; or rdx, 1; exchange rbx;);
        asm!(a: jne again; cmp rcx, 3; ja out; lea rax, ptr(other); movsxd rcx, dword_ptr(rax + rcx * 4); jmp rcx;);
        asm!(a: mov rdi, qword_ptr(rsp + 8); call other; call_got 2; set_label &mut out; leave; jmp_got 3;);
        asm!(a: function &mut other; or rdx, 0x24; add rdx, 0x40; exchange rdi; ret;);
        for _ in 2..8 {
            let mut next = a.create_label();
            asm!(a: function &mut next; owner rsi; vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; ret;);
        }
        let vtable = (0..7).map(Word::Function).chain([0x50, 0x20, 0x28].map(Word::Plain));
        a.image.data.extend(vtable.clone().chain(vtable));
        a.image.pointers = pointers;
        let names =
            ["_ZN5tokio7runtime4task3raw4poll17h0123456789abcdefE", "_ZN5tokio10rust_panicE", "_RNvC5tokio4poll"];
        let symbol = |name: &str| Symbol { name: name.to_owned(), address: image::CODE, defined: true };
        a.image.symbols.extend(names.map(symbol));
    });
    let found = discover(&Elf::parse(&assembled.bytes).unwrap()).unwrap();
    assert_eq!(found.vtables.len(), 2, "{pointers:?}");
    assert!(found.placements.len() >= 6, "{:?}", found.placements);
    assembled.bytes
}

#[test]
fn small_files() {
    for pointers in Pointers::ALL {
        let file = small(pointers);
        let (head, tail) = (PROGRAM_HEADERS + 3 * PROGRAM_HEADER_LEN, image::HEAD_LEN);
        damaged(64, file.clone(), &[0..head, tail..file.len(), 0..file.len()]);
    }
}

#[test]
fn own_file() {
    let Reduced { file, regions } = Reduced::new();
    let plan = discover(&Elf::parse(&file).unwrap()).unwrap();
    assert_eq!(plan.vtables, OWN.plan.vtables);
    damaged(64, file, &regions.into_values().collect::<Vec<_>>());
}

/// The executable with what tells of tokio alone, so that looking at it takes milliseconds.
struct Reduced {
    file: Vec<u8>,
    /// The parts of the file in which damage may matter.
    regions: BTreeMap<&'static str, Range<usize>>,
}

impl Reduced {
    fn new() -> Self {
        let Own { file: whole, plan } = &*OWN;
        let mut reduced = Self { file: whole.clone(), regions: BTreeMap::new() };
        let elf = Elf::parse(whole).unwrap();
        let mangled = ["tokio7runtime4task", "tokio..runtime..task..core..Cell", "5waker", "bind_inner"];
        let tells = |name: &str| mangled.iter().any(|part| name.contains(part));
        let kept: BTreeSet<_> = elf.symbols().iter().filter(|s| tells(s.name)).map(|s| s.address).collect();
        let functions: Vec<_> = elf.functions().iter().filter(|function| kept.contains(&function.start)).collect();
        let stated: Vec<_> = functions.iter().map(|function| (function.start.0, function.len)).collect();
        let object = ElfFile64::<LE>::parse(&**whole).unwrap();
        let frames_at = object.section_by_name(".eh_frame").unwrap().address();
        reduced.section(&object, ".eh_frame", |_| image::eh_frame(frames_at, &stated));
        let points_to_kept = |entry: &&[u8]| kept.contains(&ElfAddr(word(entry, 16)));
        reduced.section(&object, ".rela.dyn", |old| {
            old.chunks_exact(24).filter(points_to_kept).flatten().copied().collect()
        });
        let is_kept = |entry: &&[u8]| kept.contains(&ElfAddr(word(entry, 8)));
        reduced.section(&object, ".symtab", |old| old.chunks_exact(24).filter(is_kept).flatten().copied().collect());
        for section in object.sections().filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug"))) {
            reduced.resize(&object, section.index().0, 0);
        }
        // No version is looked for in what is left of the first segment.
        let head = PROGRAM_HEADERS..PROGRAM_HEADERS + object.elf_program_headers().len() * PROGRAM_HEADER_LEN;
        let loaded = reduced.file[head.clone()].chunks_exact_mut(PROGRAM_HEADER_LEN).find(|header| header[0] == 1);
        loaded.unwrap()[32..40].copy_from_slice(&0x1000u64.to_le_bytes());
        let table = object.elf_header().e_shoff(LE) as usize;
        let vtables = &plan.vtables;
        let (first, last) = (vtables.first().unwrap().address, vtables.last().unwrap().address.plus(80));
        let at = |section: &str, address: ElfAddr| {
            let section = object.section_by_name(section).unwrap();
            (section.file_range().unwrap().0 + (address.0 - section.address())) as usize
        };
        let code = functions.iter().find(|function| function.start == vtables[0].poll).unwrap();
        reduced.regions.extend([
            ("head", 0..head.end),
            ("section table", table..table + object.elf_section_table().len() * 64),
            ("vtables", at(".data.rel.ro", first)..at(".data.rel.ro", last)),
            ("code", at(".text", code.start)..at(".text", code.start.plus(code.len))),
        ]);
        reduced
    }

    /// Replaces a section's content by something shorter.
    fn section(&mut self, object: &ElfFile64<'_, LE>, name: &'static str, change: impl FnOnce(&[u8]) -> Vec<u8>) {
        let section = object.section_by_name(name).unwrap();
        let (at, len) = section.file_range().unwrap();
        let (at, len) = (at as usize, len as usize);
        let content = change(&self.file[at..at + len]);
        assert!(content.len() <= len, "{name}");
        self.file[at..at + content.len()].copy_from_slice(&content);
        self.resize(object, section.index().0, content.len() as u64);
        self.regions.insert(name, at..at + content.len());
    }

    /// States another length for a section.
    fn resize(&mut self, object: &ElfFile64<'_, LE>, index: usize, len: u64) {
        let header = object.elf_header().e_shoff(LE) as usize + index * 64;
        self.file[header + 32..header + 40].copy_from_slice(&len.to_le_bytes());
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
