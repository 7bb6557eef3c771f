//! ELF files: what they say, and what they may not make us do.

use object::elf;

use super::image::{CODE, DATA, HEAD, Image, PROGRAM_HEADER_LEN, PROGRAM_HEADERS, Pointers, STEP, Symbol, Word};
use crate::{
    addr::{ElfAddr, FileOffset},
    image::elf::{Elf, ElfFunction},
    tokio::vtables,
};
use asyncscope_trace::facts::Unreadable;

#[test]
fn refuses_other_files() {
    let image = Image { data: vec![Word::Plain(0)], ..Image::of_functions(Pointers::Rela, 2) }.bytes();
    let check = |edit: fn(&mut Vec<u8>), is_it: fn(&Unreadable) -> bool| {
        let mut bytes = image.clone();
        edit(&mut bytes);
        let why = Elf::parse(&bytes).map(|_| "read").unwrap_err();
        assert!(is_it(&why), "{why:?}");
    };
    let not_elf = |why: &Unreadable| *why == Unreadable::NotElf;
    let malformed = |why: &Unreadable| matches!(why, Unreadable::Malformed { .. });
    assert!(Elf::parse(&image).is_ok());
    check(Vec::clear, not_elf);
    check(|bytes| *bytes = b"#!/bin/sh\n".to_vec(), not_elf);
    check(|bytes| bytes[1] = b'M', not_elf);
    check(|bytes| bytes.truncate(4), malformed);
    check(|bytes| bytes.truncate(63), malformed);
    check(|bytes| bytes.truncate(200), malformed);
    check(|bytes| bytes.truncate(bytes.len() - 1), malformed);
    check(|bytes| bytes[4] = 1, malformed); // 32-bit
    check(|bytes| bytes[5] = 2, malformed); // big-endian
    check(|bytes| bytes[18] = elf::EM_AARCH64.0 as u8, |why| *why == Unreadable::Machine { machine: 183 });
    let to_386 = |bytes: &mut Vec<u8>| bytes[18..20].copy_from_slice(&elf::EM_386.0.to_le_bytes());
    check(to_386, |why| *why == Unreadable::Machine { machine: 3 });
}

#[test]
fn every_truncation_is_an_error_or_harmless() {
    let image = Image { data: vec![Word::Function(0); 4], ..Image::of_functions(Pointers::Relr, 4) }.bytes();
    for len in (0..image.len()).step_by(7) {
        let _ = Elf::parse(&image[..len]).map(|elf| vtables::scan(&elf));
    }
}

fn image(pointers: Pointers) -> Vec<u8> {
    let data = vec![Word::Function(1), Word::Plain(5), Word::Address(DATA)];
    Image { data, ..Image::of_functions(pointers, 2) }.bytes()
}

#[test]
fn pointers() {
    for pointers in Pointers::ALL {
        let bytes = image(pointers);
        let elf = Elf::parse(&bytes).unwrap();
        let check = |at, expected: Option<u64>| {
            assert_eq!(elf.pointer(ElfAddr(at)), expected.map(ElfAddr), "{pointers:?} {at:#x}");
        };
        let in_place = pointers == Pointers::InPlace;
        check(DATA, Some(CODE + STEP));
        check(DATA + 8, in_place.then_some(5)); // not relocated: no pointer
        check(DATA + 16, Some(DATA));
        check(DATA + 1, in_place.then_some(5 << 56 | (CODE + STEP) >> 8));
        check(DATA + 17, None); // a byte of it is missing
        check(DATA + 24, None);
        check(DATA - 1, None);
        check(0, None);
        check(u64::MAX, None);
    }
}

#[test]
fn relocations_by_symbol() {
    let check = |ty: elf::RelocationType, symbol, addend, expected: Option<u64>| {
        let mut image = Image { data: vec![Word::Plain(9)], ..Image::of_functions(Pointers::Rela, 2) };
        image.symbols.push(Symbol { name: "here".to_owned(), address: CODE, defined: true });
        image.symbols.push(Symbol { name: "elsewhere".to_owned(), address: CODE, defined: false });
        image.relocations.push((DATA, ty.0, symbol, addend));
        let bytes = image.bytes();
        let elf = Elf::parse(&bytes).unwrap();
        assert_eq!(elf.pointer(ElfAddr(DATA)), expected.map(ElfAddr), "{ty:?} {symbol} {addend}");
    };
    check(elf::R_X86_64_64, 1, 16, Some(CODE + 16));
    check(elf::R_X86_64_64, 1, -16i64 as u64, Some(CODE - 16));
    check(elf::R_X86_64_GLOB_DAT, 1, 0, Some(CODE));
    check(elf::R_X86_64_GLOB_DAT, 2, 0, None); // of another library
    check(elf::R_X86_64_64, 0, 16, None);
    check(elf::R_X86_64_64, 3, 0, None); // no such symbol
    check(elf::R_X86_64_RELATIVE, 0, 16, Some(16));
    check(elf::R_X86_64_TPOFF64, 1, 0, None);
    check(elf::R_X86_64_JUMP_SLOT, 1, 0, None);
}

#[test]
fn words_and_bytes() {
    let bytes = image(Pointers::InPlace);
    let elf = Elf::parse(&bytes).unwrap();
    let word = |at, expected| assert_eq!(elf.word(ElfAddr(at)), expected, "{at:#x}");
    word(DATA + 8, Some(5));
    word(DATA + 16, Some(DATA));
    word(DATA + 17, None);
    word(DATA - 8, None);
    word(HEAD, Some(u64::from_le_bytes([0x7f, b'E', b'L', b'F', 2, 1, 1, 0])));
    word(u64::MAX, None);
    let check = |at, len, expected: &[u8]| assert_eq!(elf.bytes(ElfAddr(at), len), expected, "{at:#x} {len}");
    check(CODE, 2, &[0xc3, 0xcc]);
    check(CODE + 2 * STEP - 1, 9, &[0xcc]);
    check(CODE + 2 * STEP - 1, u64::MAX, &[0xcc]);
    check(CODE + 2 * STEP, 1, &[]);
    check(CODE, 0, &[]);
    check(0, 1, &[]);
}

#[test]
fn file_offsets() {
    let bytes = image(Pointers::Rela);
    let elf = Elf::parse(&bytes).unwrap();
    let check = |at, expected: Option<u64>| {
        assert_eq!(elf.file_offset(ElfAddr(at)), expected.map(FileOffset), "{at:#x}");
    };
    check(CODE, Some(0x1000));
    check(CODE + 2 * STEP - 1, Some(0x1000 + 2 * STEP - 1));
    check(CODE + 2 * STEP, None);
    check(CODE - 1, None);
    check(DATA, None); // not executable
    check(HEAD, None);
    check(u64::MAX, None);
    assert_eq!(bytes[0x1000], 0xc3);
}

#[test]
fn program_headers() {
    let mut bytes = image(Pointers::Rela);
    let check = |bytes: &[u8], expected| assert_eq!(Elf::parse(bytes).unwrap().program_headers, ElfAddr(expected));
    check(&bytes, HEAD + PROGRAM_HEADERS as u64); // by the segment that they lie in
    let last = PROGRAM_HEADERS + 2 * PROGRAM_HEADER_LEN;
    bytes[last..last + 4].copy_from_slice(&elf::PT_PHDR.0.to_le_bytes());
    check(&bytes, DATA); // as stated
}

#[test]
fn functions() {
    let check = |stated: &[(u64, u64)], expected: &[(u64, u64)]| {
        let functions = stated.iter().map(|&(start, len)| (CODE.wrapping_add(start), len)).collect();
        let bytes = Image { functions, ..Image::of_functions(Pointers::Rela, 4) }.bytes();
        let elf = Elf::parse(&bytes).unwrap();
        let expected: Vec<_> =
            expected.iter().map(|&(start, len)| ElfFunction { start: ElfAddr(CODE + start), len }).collect();
        assert_eq!(elf.functions(), expected, "{stated:x?}");
        for function in expected {
            assert_eq!(elf.function_at(function.start), Some(function));
            assert_eq!(elf.function_at(function.start.plus(1)), None);
        }
    };
    check(&[(0, 16), (16, 16)], &[(0, 16), (16, 16)]);
    check(&[(16, 16), (0, 16)], &[(0, 16), (16, 16)]); // in order
    check(&[(0, 0)], &[]);
    check(&[(0, 64)], &[(0, 64)]);
    check(&[(0, 65)], &[]); // beyond the code
    check(&[(64, 1)], &[]);
    check(&[(0u64.wrapping_sub(16), 32)], &[]);
    check(&[(DATA - CODE, 8)], &[]); // no code
    check(&[(0, 16), (0, 16)], &[(0, 16)]);
    check(&[(0, 17), (16, 16)], &[(16, 16)]); // one of them is wrong: the longer would be decoded into the other
    check(&[(0, 64), (8, 56), (16, 48), (24, 1)], &[(24, 1)]);
    check(&[(0, 32), (0, 16), (16, 16)], &[(0, 16), (16, 16)]);
}

#[test]
fn symbols() {
    let symbol = |name: &str, at, defined| Symbol { name: name.to_owned(), address: CODE + at, defined };
    let mut image = Image::of_functions(Pointers::Rela, 3);
    image.symbols = vec![
        symbol("second", STEP, true),
        symbol("folded", 0, true),
        symbol("first", 0, true),
        symbol("imported", 0, false),
    ];
    let bytes = image.bytes();
    let elf = Elf::parse(&bytes).unwrap();
    let check = |at, expected: &[&str]| {
        let names: Vec<_> = elf.symbols_at(ElfAddr(CODE + at)).iter().map(|symbol| symbol.name).collect();
        assert_eq!(names, expected);
    };
    check(0, &["first", "folded"]);
    check(STEP, &["second"]);
    check(1, &[]);
    check(2 * STEP, &[]);
    assert_eq!(elf.symbols().len(), 3);
}

/// Sets a word of the program header of that place.
fn stated(pointers: Pointers, segment: usize, field: usize, value: u64) -> Vec<u8> {
    let mut bytes = image(pointers);
    let at = PROGRAM_HEADERS + segment * PROGRAM_HEADER_LEN + field * 8;
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// File offset, address and length in the file of a program header, in words.
const FIELDS: [usize; 3] = [1, 2, 4];
const EXTREMES: [u64; 9] = [0, 1, 7, 1 << 12, 1 << 32, i64::MAX as u64, 1 << 63, u64::MAX - 7, u64::MAX];

#[test]
fn segments_of_any_size_are_bounded() {
    for pointers in Pointers::ALL {
        for segment in 0..3 {
            for field in FIELDS {
                for value in EXTREMES {
                    let bytes = stated(pointers, segment, field, value);
                    let elf = Elf::parse(&bytes).unwrap();
                    let places = elf.pointer_places().take(1 << 20).count();
                    assert!(places <= bytes.len(), "{pointers:?} {segment} {field} {value:#x}: {places}");
                    let read: usize = elf.read_only_data().map(<[u8]>::len).sum();
                    assert!(read <= 2 * bytes.len());
                    for at in EXTREMES.into_iter().chain([CODE, DATA, HEAD]) {
                        let at = ElfAddr(at);
                        let _ = (elf.word(at), elf.pointer(at), elf.file_offset(at), elf.bytes(at, u64::MAX));
                    }
                    let _ = vtables::scan(&elf);
                }
            }
        }
    }
}

/// Many sections may claim the same bytes.
#[test]
fn relocations_are_bounded_by_the_file() {
    let data = vec![Word::Function(0); 64];
    for pointers in [Pointers::Rela, Pointers::Relr] {
        let bytes = repeated(&Image { data: data.clone(), ..Image::of_functions(pointers, 1) }.bytes());
        let elf = Elf::parse(&bytes).unwrap();
        assert_eq!(elf.pointer_places().count(), 64, "{pointers:?}");
    }
}

/// The section table once more, with each section a thousand times.
fn repeated(file: &[u8]) -> Vec<u8> {
    let at = u64::from_le_bytes(file[0x28..0x30].try_into().unwrap()) as usize;
    let table = &file[at..];
    let mut bytes = file.to_vec();
    for _ in 0..1000 {
        bytes.extend(&table[4 * 64..6 * 64]);
    }
    let count = (table.len() / 64 + 2000) as u16;
    bytes[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
    bytes
}
