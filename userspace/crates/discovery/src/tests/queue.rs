//! Queues that new tasks go to without a bind, by what the instructions do with their second argument.

use std::collections::BTreeSet;

use iced_x86::{Register, code_asm::*};

use super::asm::{Asm, asm};
use crate::{
    code::x86_64::{code::Code, queue},
    image::elf::Elf,
};

/// Gives one of a task's references back.
fn give_back(a: &mut Asm, header: AsmRegister64) {
    a.lock().sub(qword_ptr(header), 0x40).unwrap();
}

fn check_pool(what: &str, expected: bool, write: impl FnOnce(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let code = Code::new(&elf);
    let first = assembled.functions[0];
    let found = queue::of_blocking_pool(&code, &BTreeSet::new());
    assert_eq!(found, if expected { vec![first] } else { vec![] }, "{what}");
    assert_eq!(queue::of_blocking_pool(&code, &BTreeSet::from([first])), [], "{what}, a bind");
}

#[test]
fn the_blocking_pool_refuses_a_task() {
    check_pool("as it is", true, |a| {
        give_back(a, rsi);
        asm!(a: vtable rax, rsi; mov rdi, rsi; call qword_ptr(rax + 0x30); ret;);
    });
    check_pool("kept in another register", true, |a| {
        asm!(a: push rbx; mov rbx, rsi; call rcx;);
        give_back(a, rbx);
        asm!(a: mov rdi, rbx; vtable rax, rdi; call qword_ptr(rax + 0x30); pop rbx; ret;);
    });
    check_pool("at its end", true, |a| {
        a.lock().add(qword_ptr(rsi), -0x40).unwrap();
        asm!(a: mov rdi, rsi; vtable rax, rdi; jmp qword_ptr(rax + 0x30););
    });
    check_pool("the first argument", false, |a| {
        give_back(a, rdi);
        asm!(a: vtable rax, rdi; call qword_ptr(rax + 0x30); ret;);
    });
    check_pool("no reference given back", false, |a| {
        asm!(a: vtable rax, rsi; mov rdi, rsi; call qword_ptr(rax + 0x30); ret;);
    });
    check_pool("deallocated", false, |a| {
        give_back(a, rsi);
        asm!(a: vtable rax, rsi; mov rdi, rsi; call qword_ptr(rax + 0x10); ret;);
    });
    check_pool("another's shutdown", false, |a| {
        give_back(a, rsi);
        asm!(a: vtable rax, rsi; call qword_ptr(rax + 0x30); ret;);
    });
    check_pool("another table", false, |a| {
        give_back(a, rsi);
        asm!(a: mov rax, qword_ptr(rsi + 0x18); mov rdi, rsi; call qword_ptr(rax + 0x30); ret;);
    });
}

/// Checks that a `schedule` leads to a `LocalSet`'s queue, the second function, and the task's register there.
fn check_set(what: &str, expected: Option<Register>, hand_on: fn(&mut Asm, CodeLabel), queue: fn(&mut Asm)) {
    let assembled = Asm::assembled(|a| {
        let mut label = a.create_label();
        hand_on(a, label);
        asm!(a: function &mut label;);
        queue(a);
    });
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = queue::of_local_set(&Code::new(&elf), assembled.functions[0]);
    assert_eq!(found, expected.map(|register| (assembled.functions[1], register)), "{what}");
}

fn hand_on(a: &mut Asm, to: CodeLabel) {
    asm!(a: mov rsi, rdi; vtable rax, rdi; mov rax, qword_ptr(rax + 0x40); mov rdi, qword_ptr(rdi + rax); jmp to;);
}

fn wake(a: &mut Asm, bits: i32, offset: i32) {
    asm!(a: mov rcx, rax; or rcx, bits;);
    a.lock().cmpxchg(qword_ptr(rdi + 0x80), rcx).unwrap();
    asm!(a: mov rcx, qword_ptr(rdi + 0x70); call qword_ptr(rcx + offset); ret;);
}

#[test]
fn a_local_set_is_woken() {
    check_set("as it is", Some(Register::RSI), hand_on, |a| wake(a, 2, 8));
    check_set("another state", None, hand_on, |a| wake(a, 4, 8));
    check_set("a waker by reference", None, hand_on, |a| wake(a, 2, 0x10));
    check_set("nothing", None, hand_on, |a| asm!(a: ret;));
    let stays = |a: &mut Asm, to: CodeLabel| asm!(a: vtable rax, rdi; jmp to;);
    check_set("the task is the first argument", Some(Register::RDI), stays, |a| wake(a, 2, 8));
    check_set("by a function of its own", Some(Register::RSI), hand_on, |a| {
        let mut waker = a.create_label();
        asm!(a: xor esi, esi; call waker; ret; function &mut waker;);
        wake(a, 2, 8);
    });
}
