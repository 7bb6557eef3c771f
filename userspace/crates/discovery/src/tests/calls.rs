//! System calls in code.

use iced_x86::code_asm::*;
use probe_common::config::Call;

use super::asm::{Asm, asm};
use crate::{
    addr::ElfAddr,
    code::x86_64::{code::Code, syscalls},
    image::elf::Elf,
};

/// The calls that are seen are these, at the marked instructions.
fn check(what: &str, expected: &[Call], write: fn(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = syscalls::find(&Code::new(&elf));
    let at: Vec<_> = found.sites.iter().map(|site| (site.call, ElfAddr(site.at.ip()))).collect();
    let marked: Vec<_> = expected.iter().copied().zip(assembled.marks).collect();
    assert_eq!(at, marked, "{what}: {found:?}");
}

#[test]
fn a_call_is_seen_behind_it_at_the_first_emulated_instruction() {
    check("as in glibc", &[Call::Read], |a| {
        asm!(a: xor eax, eax; syscall; cmp rax, -4096; mark; ja 0x39000; ret;);
    });
    check("in a register of 64 bits", &[Call::WriteVector], |a| {
        asm!(a: mov rax, 20u64; syscall; cmp rax, -4096; mark; jae 0x39000; ret;);
    });
    check("without one", &[Call::Receive], |a| asm!(a: mov eax, 45; syscall; mark; ret;));
    check("the result is moved before", &[Call::Send], |a| {
        asm!(a: mov eax, 44; syscall; mark; mov rdi, rax; jmp 0x39000;);
    });
    check("the result is copied", &[Call::Send], |a| {
        asm!(a: mov eax, 44; syscall; mov rbx, rax; mark; push rbp; ret;);
    });
    check("several in one function", &[Call::Write, Call::ReceiveMessage], |a| {
        asm!(a: mov eax, 1; syscall; mark; jne 0x39000; mov eax, 47; syscall; mark; jne 0x39000; ret;);
    });
}

#[test]
fn a_call_whose_number_is_not_certain_is_not_seen() {
    check("from an argument", &[], |a| asm!(a: mov rax, rdi; syscall; jne 0x39000; ret;));
    check("overwritten", &[], |a| asm!(a: mov eax, 1; pop rax; syscall; jne 0x39000; ret;));
    check("from two sides", &[], |a| {
        let mut here = a.create_label();
        asm!(a: mov eax, 2; je here; mov eax, 1; set_label &mut here; syscall; jne 0x39000; ret;);
    });
    check("behind a call of a function", &[], |a| asm!(a: mov eax, 1; call 0x39000; syscall; jne 0x39000; ret;));
    check("behind a return", &[], |a| asm!(a: mov eax, 1; ret; syscall; jne 0x39000; ret;));
    check("of no interest", &[], |a| asm!(a: mov eax, 39; syscall; jne 0x39000; ret;));
}

#[test]
fn what_is_reached_without_the_call_is_no_place_for_it() {
    check("jumped to", &[Call::Write], |a| {
        let mut behind = a.create_label();
        asm!(a: je behind; mov eax, 1; syscall; mark; cmp rax, -4096; set_label &mut behind; ja 0x39000; ret;);
    });
    check("at once", &[], |a| {
        let mut behind = a.create_label();
        asm!(a: je behind; mov eax, 1; syscall; set_label &mut behind; ja 0x39000; ret;);
    });
}

#[test]
fn a_close_is_seen_before_the_descriptor_is_free() {
    check("at the entry of a function that only closes", &[Call::Close], |a| {
        asm!(a: cmp byte_ptr(rsi), 0; mark; je 0x39000; mov eax, 3; syscall; cmp rax, -4096; ja 0x39000; ret;);
    });
    check("before the call, where more is done", &[Call::Close, Call::Write], |a| {
        asm!(a: mov rdi, rsi; mark; mov eax, 3; syscall; mov eax, 1; syscall; mark; jne 0x39000; ret;);
    });
    check("the descriptor is there only at the call", &[], |a| {
        asm!(a: mov rdi, rsi; mov eax, 3; mov rdi, rbx; syscall; jne 0x39000; ret;);
    });
}
