//! The start of panics, by what the function makes.

use iced_x86::code_asm::*;

use super::asm::{Asm, asm};
use crate::{
    code::x86_64::{code::Code, raise},
    image::elf::Elf,
};

/// Returns `true` if the first function is found.
fn raises(write: impl FnOnce(&mut Asm)) -> bool {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    raise::find(&Code::new(&elf)) == [assembled.functions[0]]
}

#[test]
fn the_start_of_a_panic() {
    let class = u64::from_le_bytes(*b"MOZ\0RUST");
    assert!(raises(|a| asm!(a: call rax; mov rcx, class; mov qword_ptr(rax), rcx; jmp rdx;)));
    assert!(!raises(|a| asm!(a: mov rcx, class; cmp qword_ptr(rdi), rcx; ret;)), "a catch");
    assert!(!raises(|a| asm!(a: mov rcx, class + 1; mov qword_ptr(rax), rcx; ret;)), "another language's");
    assert!(!raises(|a| asm!(a: mov rcx, class; mov qword_ptr(rax), rdx; ret;)), "something else stored");
}
