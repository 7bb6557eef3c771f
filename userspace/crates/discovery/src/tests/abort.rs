//! Aborts that make tasks ready, by their constants.

use iced_x86::{Register, code_asm::*};

use super::asm::{Asm, asm};
use crate::{
    addr::ElfAddr,
    code::x86_64::{abort, code::Code},
    image::elf::Elf,
};

/// Checks the aborts that are seen: the header's register and the new word's, each at a mark.
fn check(what: &str, expected: &[(Register, Register)], write: impl FnOnce(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = abort::find(&Code::new(&elf));
    let registers: Vec<_> = found.iter().map(|exchange| (exchange.header, exchange.new)).collect();
    assert_eq!(registers, expected, "{what}");
    if !expected.is_empty() {
        let places: Vec<_> = found.iter().map(|exchange| ElfAddr(exchange.after.ip())).collect();
        assert_eq!(places, assembled.marks, "{what}");
    }
    assert!(found.iter().all(|exchange| exchange.caller.is_none() && !exchange.starts_running), "{what}");
}

/// As [`Asm::exchange`] has it.
const FOUND: &[(Register, Register)] = &[(Register::RDI, Register::RDX)];

#[test]
fn constants() {
    let check = |both: i32, with: i32, expected| {
        check(&format!("{both:#x} {with:#x}"), expected, |a| {
            asm!(a: or rcx, both; lea rdx, qword_ptr(rax + with); exchange rdi; ret;);
        });
    };
    check(0x24, 0x64, FOUND);
    check(0x20, 0x64, &[]); // CANCELLED alone
    check(0x04, 0x64, &[]); // NOTIFIED alone
    check(0x26, 0x64, &[]);
    check(0x24, 0x24, &[]); // without a reference
    check(0x24, 0xa4, &[]); // with two
    check(-0x24, 0x64, &[]);
}

#[test]
fn instructions() {
    check("one reference added", FOUND, |a| asm!(a: or rdx, 0x24; add rdx, 0x40; exchange rdi; ret;));
    check("all added", FOUND, |a| asm!(a: or rcx, 0x24; add rdx, 0x64; exchange rdi; ret;));
    check("taken away negative", FOUND, |a| asm!(a: or rdx, 0x24; sub rdx, -0x40; exchange rdi; ret;));
    check("taken away", &[], |a| asm!(a: or rdx, 0x24; sub rdx, 0x40; exchange rdi; ret;));
    check("behind the exchange", FOUND, |a| asm!(a: exchange rdi; or rdx, 0x24; add rdx, 0x40; ret;));
    check("by registers", &[], |a| asm!(a: or rdx, rcx; add rdx, rcx; exchange rdi; ret;));
    check(
        "in any register",
        &[(Register::R13, Register::RDX)],
        |a| asm!(a: or rdx, 0x24; add rdx, 0x40; exchange r13; ret;),
    );
    check("another word", &[], |a| {
        asm!(a: or rdx, 0x24; add rdx, 0x40;);
        a.lock().cmpxchg(qword_ptr(rdi + 8), rdx).unwrap();
        asm!(a: ret;);
    });
    check("half a word", &[], |a| {
        asm!(a: or rdx, 0x24; add rdx, 0x40;);
        a.lock().cmpxchg(dword_ptr(rdi), edx).unwrap();
        asm!(a: ret;);
    });
    check("without lock", &[], |a| asm!(a: or rdx, 0x24; add rdx, 0x40; cmpxchg qword_ptr(rdi), rdx; ret;));
    check("what follows is jumped to", &[], |a| {
        let mut out = a.create_label();
        asm!(a: or rdx, 0x24; add rdx, 0x40; je out; exchange rdi; set_label &mut out; ret;);
    });
    check("too far", &[], |a| {
        asm!(a: or rdx, 0x24; add rdx, 0x40;);
        (0..40).for_each(|_| asm!(a: nop;));
        asm!(a: exchange rdi; ret;);
    });
}
