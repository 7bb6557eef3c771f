//! The place of the running task's id, by instructions that keep it.

use iced_x86::code_asm::*;

use super::{
    asm::{Asm, asm},
    image::CODE,
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::Code,
        current_task::{TlsSlot, places},
    },
    image::elf::Elf,
};

/// In these functions' headers, in bytes.
const ID: i32 = 0x28;

fn check(what: &str, write: impl FnOnce(&mut Asm), expected: &[(u32, bool)]) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = places(&Code::new(&elf), ElfAddr(CODE), ID as u32);
    let expected: Vec<TlsSlot> = expected.iter().map(|&(below, tagged)| TlsSlot { below, tagged }).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{what}");
}

#[test]
fn stores_of_the_id_are_found() {
    let direct = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rdi + ID); mov qword_ptr(-0xf8).fs(), r13; ret;);
    check("directly", direct, &[(0xf8, false)]);
    let by_pointer = |a: &mut Asm| {
        asm!(a: mov rbx, qword_ptr(rdi + ID); mov rax, qword_ptr(0).fs(); lea r14, qword_ptr(rax - 0x160););
        asm!(a: mov qword_ptr(r14 + 0x30), rbx; ret;);
    };
    check("by a pointer", by_pointer, &[(0x130, false)]);
    let in_another = |a: &mut Asm| {
        let mut enter = a.create_label();
        asm!(a: add rdi, 0x20; mov rdi, qword_ptr(rdi + 8); call enter; ret;);
        asm!(a: function &mut enter; mov rax, qword_ptr(0).fs(); mov qword_ptr(rax - 0x20), rdi; ret;);
    };
    check("in another function", in_another, &[(0x20, false)]);
}

#[test]
fn a_tag_before_the_id_is_found() {
    let with = |tag: i32, at: i32| {
        move |a: &mut Asm| {
            asm!(a: mov r13, qword_ptr(rdi + ID); mov rax, qword_ptr(0).fs(); mov qword_ptr(rax + at), tag;);
            asm!(a: mov qword_ptr(rax - 0x50), r13; ret;);
        }
    };
    check("tagged", with(1, -0x58), &[(0x50, true)]);
    check("another number", with(2, -0x58), &[(0x50, false)]);
    check("elsewhere", with(1, -0x60), &[(0x50, false)]);
}

#[test]
fn other_stores_are_not_taken_for_it() {
    let other_word = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rdi + 0x20); mov qword_ptr(-0xf8).fs(), r13; ret;);
    check("another word of the header", other_word, &[]);
    let other_pointer = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rsi + ID); mov qword_ptr(-0xf8).fs(), r13; ret;);
    check("another pointer's", other_pointer, &[]);
    let changed = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rdi + ID); inc r13; mov qword_ptr(-0xf8).fs(), r13; ret;);
    check("changed", changed, &[]);
    let half = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rdi + ID); mov dword_ptr(-0xf8).fs(), r13d; ret;);
    check("half of it", half, &[]);
    let other_segment = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rdi + ID); mov qword_ptr(-0xf8).gs(), r13; ret;);
    check("another segment", other_segment, &[]);
    let elsewhere = |a: &mut Asm| asm!(a: mov r13, qword_ptr(rdi + ID); mov qword_ptr(rsi - 0xf8), r13; ret;);
    check("elsewhere", elsewhere, &[]);
    // As code of a library finds its thread-local variables.
    let by_call = |a: &mut Asm| {
        let mut address = a.create_label();
        asm!(a: mov rbx, qword_ptr(rdi + ID); call address; mov qword_ptr(rax + 0x30), rbx; ret;);
        asm!(a: function &mut address; mov rax, qword_ptr(rdi); ret;);
    };
    check("found by a call", by_call, &[]);
    let two = |a: &mut Asm| {
        asm!(a: mov r13, qword_ptr(rdi + ID); mov qword_ptr(-0xf8).fs(), r13; mov qword_ptr(-0x10).fs(), r13; ret;);
    };
    check("at two places", two, &[(0x10, false), (0xf8, false)]);
}
