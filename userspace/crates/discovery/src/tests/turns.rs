//! Returns of a function, by the code that calls it.

use iced_x86::code_asm::*;

use super::asm::{Asm, asm};
use crate::{code::x86_64::code::Code, image::elf::Elf, tokio::turns};

/// The marks are what is to be found for the first function, which only returns.
fn check(what: &str, write: impl FnOnce(&mut Asm, CodeLabel)) {
    let assembled = Asm::assembled(|a| {
        let mut turn = a.create_label();
        a.set_label(&mut turn).unwrap();
        asm!(a: push rbx; pop rbx; ret;);
        write(a, turn);
    });
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = turns::returned(&Code::new(&elf), assembled.functions[0]);
    match assembled.marks[..] {
        [] => assert!(found.is_err(), "{what}: {found:?}"),
        ref marks => assert_eq!(found.as_deref(), Ok(marks), "{what}"),
    }
}

#[test]
fn the_first_cheap_instruction_after_each_call() {
    check("a call, a jump, a push", |a, turn| {
        let (mut caller, mut end) = (a.create_label(), a.create_label());
        a.function(&mut caller).unwrap();
        asm!(a: call turn; mov rdi, rbx; mark; call rcx; call turn; test rax, rax; mark; je end; call turn; mark; push rax; pop rax;);
        a.set_label(&mut end).unwrap();
        asm!(a: ret;);
    });
}

#[test]
fn behind_functions_that_return_right_after() {
    check("in their callers", |a, turn| {
        let [mut direct, mut jumps, mut outer] = [a.create_label(), a.create_label(), a.create_label()];
        a.function(&mut direct).unwrap();
        asm!(a: push rbx; call turn; add rsp, 0; pop rbx; ret;);
        a.function(&mut jumps).unwrap();
        asm!(a: mov rsi, rdi; jmp turn;);
        a.function(&mut outer).unwrap();
        asm!(a: call direct; mark; call jumps; mark; push rax; pop rax; ret;);
    });
}

#[test]
fn not_where_that_is_not_proved() {
    check("nobody calls it", |_, _| {});
    check("room is made first", |a, turn| {
        let mut caller = a.create_label();
        a.function(&mut caller).unwrap();
        asm!(a: call turn; sub rsp, 0x20; push rax; ret;);
    });
    check("its address is taken", |a, turn| {
        let mut caller = a.create_label();
        a.function(&mut caller).unwrap();
        asm!(a: lea rdi, qword_ptr(turn); call turn; push rax; pop rax; ret;);
    });
    check("a pointer leads to it", |a, turn| {
        let mut caller = a.create_label();
        a.function(&mut caller).unwrap();
        asm!(a: load_got 0; call turn; push rax; pop rax; ret;);
    });
    check("who calls it may be called by anybody", |a, turn| {
        let mut caller = a.create_label();
        a.function(&mut caller).unwrap();
        asm!(a: call turn; ret;);
    });
}
