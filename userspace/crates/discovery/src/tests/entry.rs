//! The cheapest instruction of a function's entry.

use iced_x86::{Register, code_asm::*};

use super::{
    asm::{Asm, asm},
    image::{CODE, DATA, Image, Pointers, STEP},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{code::Code, entry},
    image::elf::Elf,
};

/// The instruction that is chosen at a function's entry is the marked one.
fn check_for(what: &str, argument: Register, write: fn(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = entry::cheapest(&Code::new(&elf), ElfAddr(CODE), argument).map(|at| ElfAddr(at.ip()));
    assert_eq!(found, assembled.marks.first().copied(), "{what}");
}

#[test]
fn cheapest_instruction_of_an_entry() {
    let check = |what: &str, write: fn(&mut Asm)| check_for(what, Register::RDI, write);
    check("push", |a| asm!(a: mark; push rbp; ret;));
    check("push behind moves", |a| asm!(a: mov rax, rdi; xor ecx, ecx; mark; push rbp; ret;));
    check("behind endbr64", |a| asm!(a: endbr64; mark; push rbp; ret;));
    check("jump", |a| asm!(a: mov rax, qword_ptr(rdi); mark; jne 0x31000; ret;));
    check("call", |a| asm!(a: mov rsi, rdi; mark; call 0x31000; ret;));
    check("call by a register is none", |a| asm!(a: mark; mov rsi, rdi; call rax; push rax; ret;));
    check("the argument is overwritten", |a| asm!(a: mark; mov rax, rdi; mov rdi, rsi; push rbp; ret;));
    check("half of it is", |a| asm!(a: mark; mov rax, rdi; mov edi, esi; push rbp; ret;));
    check("overwritten on condition", |a| asm!(a: mark; cmove rdi, rsi; push rbp; ret;));
    check("the stack pointer moves", |a| asm!(a: mark; sub rsp, 0x18; push rbp; ret;));
    check("it returns before", |a| asm!(a: mark; mov rax, rdi; ret; push rbp; ret;));
    check("jumped to", |a| {
        let mut again = a.create_label();
        asm!(a: mark; mov rax, rdi; set_label &mut again; push rbp; jne again; ret;);
    });
    check("further than anyone looks", |a| {
        a.mark().unwrap();
        (0..16).for_each(|_| asm!(a: mov rax, rdi;));
        asm!(a: push rbp; ret;);
    });
    check("as far as one looks", |a| {
        (0..15).for_each(|_| asm!(a: mov rax, rdi;));
        asm!(a: mark; push rbp; ret;);
    });
    check("cannot be decoded", |a| {
        asm!(a: push rbp; ret;);
        a.db(&[0x06]).unwrap();
    });
    check_for("another argument may change", Register::RSI, |a| asm!(a: mov rdi, rsi; mark; push rbp; ret;));
    check_for("no argument", Register::RSP, |a| asm!(a: mov rdi, rsi; mark; push rbp; ret;));
}

#[test]
fn no_entry_where_no_function_starts() {
    let bytes = Image::of_functions(Pointers::Rela, 1).bytes();
    let elf = Elf::parse(&bytes).unwrap();
    let code = Code::new(&elf);
    let check = |at, found| assert_eq!(entry::cheapest(&code, ElfAddr(at), Register::RDI).is_some(), found, "{at:#x}");
    check(CODE, true);
    check(CODE + 1, false);
    check(CODE + STEP, false);
    check(DATA, false);
    check(0, false);
}
