//! The scan for task vtables.

use object::elf::R_X86_64_RELATIVE;

use super::image::{CODE, DATA, Image, Pointers, STEP, Word};
use crate::{
    addr::ElfAddr,
    image::elf::Elf,
    tokio::vtables::{self, Vtable},
};

fn scanned(image: &Image) -> Vec<Vtable> {
    vtables::scan(&Elf::parse(&image.bytes()).unwrap())
}

/// Seven functions and tokio's three offsets.
fn genuine() -> Vec<Word> {
    let functions = (0..7).map(Word::Function);
    functions.chain([0x50, 0x20, 0x28].map(Word::Plain)).collect()
}

/// Checks the number of vtables found in such data, however the file says where its pointers are.
fn check(what: &str, data: Vec<Word>, expected: usize) {
    for pointers in Pointers::ALL {
        let image = Image { data: data.clone(), ..Image::of_functions(pointers, 8) };
        assert_eq!(scanned(&image).len(), expected, "{what}, {pointers:?}");
    }
}

#[test]
fn says_what_stands_there() {
    for pointers in Pointers::ALL {
        let data = [vec![Word::Plain(1)], genuine()].concat();
        let found = scanned(&Image { data, ..Image::of_functions(pointers, 8) });
        let function = |index| ElfAddr(CODE + index * STEP);
        let expected = Vtable {
            address: ElfAddr(DATA + 8),
            poll: function(0),
            schedule: function(1),
            dealloc: function(2),
            try_read_output: function(3),
            drop_join_handle_slow: function(4),
            shutdown: function(6),
            id_offset: 0x28,
        };
        assert_eq!(found, [expected], "{pointers:?}");
    }
}

#[test]
fn finds_each_once() {
    check("none", vec![], 0);
    check("one", genuine(), 1);
    check("two", [genuine(), genuine()].concat(), 2);
    check("apart", [genuine(), vec![Word::Plain(3); 5], genuine()].concat(), 2);
    check("after another's beginning", [genuine()[..5].to_vec(), vec![Word::Plain(0)], genuine()].concat(), 1);
    check("with a fourth offset", [genuine(), vec![Word::Plain(0x60)], genuine()].concat(), 2);
    check("one function for all", [vec![Word::Function(0); 7], genuine()[7..].to_vec()].concat(), 1);
    check("no more than the bound", (0..4100).flat_map(|_| genuine()).collect(), 4096);
}

#[test]
fn refuses_other_words() {
    let check = |what: &str, index: usize, word: Word| {
        let mut data = genuine();
        data[index] = word;
        check(what, data, 0);
    };
    for place in 0..7 {
        check("a number among the functions", place, Word::Plain(0x28));
        check("into the middle of a function", place, Word::Address(CODE + STEP + 1));
        check("behind the functions", place, Word::Address(CODE + 8 * STEP));
        check("a pointer to data", place, Word::Address(DATA));
        check("no pointer", place, Word::Address(0));
    }
    for place in 7..10 {
        check("an offset that is a function", place, Word::Function(7));
        check("an offset that is a pointer to data", place, Word::Address(DATA));
        check("an offset that is a pointer to the code", place, Word::Address(CODE + 8));
        check("an offset that is no word's", place, Word::Plain(0x2c));
        check("no offset", place, Word::Plain(0));
        check("a large offset", place, Word::Plain(1 << 28));
        check("a negative offset", place, Word::Plain(-8i64 as u64));
    }
}

#[test]
fn refuses_other_offsets() {
    let check = |trailer, scheduler, id, expected| {
        let offsets = [trailer, scheduler, id];
        let data = genuine()[..7].iter().copied().chain(offsets.map(Word::Plain)).collect();
        check(&format!("{offsets:#x?}"), data, expected);
    };
    check(0x50, 0x20, 0x28, 1);
    check(0x50, 0x20, 0x30, 1);
    check(0x1000, 0x80, 0x88, 1);
    check(0x30, 0x20, 0x28, 1);
    check(0x28, 0x20, 0x20, 1);
    check(0x28, 0x20, 0x28, 0); // the id would overlap the trailer
    check(0x20, 0x50, 0x28, 0);
    check(0x28, 0x20, 0x50, 0);
    check(0x50, 0x28, 0x20, 0);
    check(0x50, 0x18, 0x28, 0); // in the header
    check(0x208, 0x100, 0x108, 1);
    check(0x210, 0x108, 0x110, 0); // behind any alignment
    check(0x200, 0x20, 0xa0, 1);
    check(0x200, 0x20, 0xa8, 0); // no scheduler is that long
    check((1 << 28) - 8, 0x20, 0x28, 1);
}

#[test]
fn refuses_too_few() {
    let without = |count: usize| [vec![Word::Plain(0)], genuine()[count..].to_vec()].concat();
    check("six functions", without(1), 0);
    check("only offsets", without(7), 0);
    let eight = [vec![Word::Function(7)], genuine()].concat();
    check("eight functions, of which seven are its own", eight, 1);
    let parted = [genuine()[..6].to_vec(), vec![Word::Function(6); 2], genuine()[7..9].to_vec()].concat();
    check("eight functions and two offsets", parted, 0);
    for len in 0..10 {
        check("cut off", genuine()[..len].to_vec(), 0);
    }
}

#[test]
fn refuses_offsets_that_the_loader_sets() {
    for place in 7..10 {
        let mut image = Image { data: genuine(), ..Image::of_functions(Pointers::Rela, 8) };
        image.relocations.push((DATA + place * 8, R_X86_64_RELATIVE.0, 0, DATA));
        assert_eq!(scanned(&image), [], "{place}");
    }
}

#[test]
fn functions_need_an_entry_in_the_unwind_table() {
    for pointers in Pointers::ALL {
        let mut image = Image { data: genuine(), ..Image::of_functions(pointers, 8) };
        image.data[3] = Word::Address(CODE + 3 * STEP);
        assert_eq!(scanned(&image).len(), 1, "{pointers:?}");
        image.functions.remove(3);
        image.data = image
            .data
            .iter()
            .map(|&word| if let Word::Function(i) = word { Word::Address(CODE + i as u64 * STEP) } else { word })
            .collect();
        assert_eq!(scanned(&image), [], "{pointers:?}");
    }
}
