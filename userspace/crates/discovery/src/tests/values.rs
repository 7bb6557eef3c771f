//! The header followed through registers and the stack.

use iced_x86::code_asm::*;

use super::{
    asm::{Asm, asm},
    flow::check,
};

#[test]
fn through_registers() {
    check("as passed", |a| asm!(a: exchange rdi; ret;), &["rdi 0"]);
    check("moved", |a| asm!(a: mov rbx, rdi; mov r14, rbx; exchange r14; ret;), &["r14 0"]);
    check("overwritten", |a| asm!(a: mov rdi, rsi; exchange rdi; ret;), &[]);
    check("overwritten by half", |a| asm!(a: mov edi, esi; exchange rdi; ret;), &[]);
    check("moved by half", |a| asm!(a: mov ebx, edi; exchange rbx; ret;), &[]);
    check("moved on condition", |a| asm!(a: cmove rbx, rdi; exchange rbx; ret;), &[]);
    check("another pointer", |a| asm!(a: exchange rsi; ret;), &[]);
    check("loaded from it", |a| asm!(a: mov rbx, qword_ptr(rdi); exchange rbx; ret;), &[]);
    check("added to", |a| asm!(a: add rdi, 8; exchange rdi; ret;), &[]);
    check("swapped", |a| asm!(a: xchg rdi, rsi; exchange rdi; ret;), &[]);
    check("twice", |a| asm!(a: exchange rdi; mov rax, rdi; exchange rax; ret;), &["rdi 0", "rax 0"]);
}

#[test]
fn only_an_exchange_of_the_state_word() {
    let no_lock = |a: &mut Asm| asm!(a: cmpxchg qword_ptr(rdi), rdx; mark; ret;);
    check("without lock", no_lock, &[]);
    let next_word = |a: &mut Asm| {
        a.lock().cmpxchg(qword_ptr(rdi + 8), rdx).unwrap();
        asm!(a: mark; ret;);
    };
    check("the next word", next_word, &[]);
    let indexed = |a: &mut Asm| {
        a.lock().cmpxchg(qword_ptr(rdi + rsi * 1), rdx).unwrap();
        asm!(a: mark; ret;);
    };
    check("with an index", indexed, &[]);
    let half = |a: &mut Asm| {
        a.lock().cmpxchg(dword_ptr(rdi), edx).unwrap();
        asm!(a: mark; ret;);
    };
    check("half a word", half, &[]);
    check("the last instruction", |a| asm!(a: exchange rdi;), &[]);
}

#[test]
fn through_the_stack() {
    let spilled = |a: &mut Asm| {
        asm!(a: sub rsp, 0x18; mov qword_ptr(rsp + 8), rdi; xor edi, edi; mov rax, qword_ptr(rsp + 8); exchange rax;);
    };
    check("spilled", |a| asm!(a: nop; exchange rdi; ret;), &["rdi 0"]);
    let with = |then: fn(&mut Asm)| {
        move |a: &mut Asm| {
            spilled(a);
            then(a);
        }
    };
    check("reloaded", with(|a| asm!(a: ret;)), &["rax 24"]);
    check(
        "pushed",
        |a| asm!(a: push rdi; push rbx; mov rbx, qword_ptr(rsp + 8); exchange rbx; pop rbx; pop rdi; ret;),
        &["rbx 16"],
    );
    check("popped", |a| asm!(a: push rdi; pop rbx; exchange rbx; ret;), &["rbx 0"]);
    check("another popped", |a| asm!(a: push rsi; pop rdi; exchange rdi; ret;), &[]);
    check("another slot", |a| asm!(a: push rdi; push rsi; mov rbx, qword_ptr(rsp); exchange rbx; ret;), &[]);
    check(
        "by the frame pointer",
        |a| {
            asm!(a: push rbp; mov rbp, rsp; and rsp, -32; mov qword_ptr(rbp - 8), rdi;
            mov rax, qword_ptr(rbp - 8); exchange rax; ret;)
        },
        &["rax ?"],
    );
    check(
        "frame pointer and stack pointer name one slot",
        |a| {
            asm!(a: push rbp; mov rbp, rsp; sub rsp, 16; mov qword_ptr(rbp - 8), rdi;
            mov rax, qword_ptr(rsp + 8); exchange rax; ret;)
        },
        &["rax 24"],
    );
}

#[test]
fn slots_that_are_read_stay() {
    let spill = |a: &mut Asm| asm!(a: sub rsp, 0x28; mov qword_ptr(rsp + 8), rdi;);
    let reload = |a: &mut Asm| asm!(a: mov rax, qword_ptr(rsp + 8); exchange rax; ret;);
    let check = |what: &str, between: fn(&mut Asm), expected: &[&str]| {
        let write = |a: &mut Asm| {
            spill(a);
            between(a);
            reload(a);
        };
        check(what, write, expected);
    };
    check("nothing between", |_| {}, &["rax 40"]);
    check("compared", |a| asm!(a: cmp qword_ptr(rsp + 8), rsi;), &["rax 40"]);
    check("tested", |a| asm!(a: test qword_ptr(rsp + 8), rsi;), &["rax 40"]);
    check("neighbours written", |a| asm!(a: mov qword_ptr(rsp), rsi; mov qword_ptr(rsp + 16), rsi;), &["rax 40"]);
    check("overwritten", |a| asm!(a: mov qword_ptr(rsp + 8), rsi;), &[]);
    check("a byte of it overwritten", |a| asm!(a: mov byte_ptr(rsp + 15), 0;), &[]);
    check("overwritten from below", |a| asm!(a: mov qword_ptr(rsp + 4), rsi;), &[]);
    check("overwritten by a vector", |a| asm!(a: movups xmmword_ptr(rsp), xmm0;), &[]);
    check("added to", |a| asm!(a: add qword_ptr(rsp + 8), 8;), &[]);
    check("swapped", |a| asm!(a: xchg qword_ptr(rsp + 8), rsi;), &[]);
    check("called between", |a| asm!(a: call rax;), &["rax 40"]);
}

#[test]
fn slots_below_the_stack_pointer_are_gone() {
    let other = |a: &mut Asm| asm!(a: push rdi; pop rax; push rsi; mov rbx, qword_ptr(rsp); exchange rbx; ret;);
    check("pushed over", other, &[]);
    let call = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: mov qword_ptr(rsp - 8), rdi; call other; mov rbx, qword_ptr(rsp - 8); exchange rbx; ret;);
        asm!(a: function &mut other; ret;);
    };
    check("called over", call, &[]);
}

#[test]
fn the_stack_pointer_is_known_or_not() {
    check("pushes", |a| asm!(a: push rbp; push rbx; sub rsp, 0x48; exchange rdi; ret;), &["rdi 88"]);
    check("back again", |a| asm!(a: push rbp; sub rsp, 16; add rsp, 16; pop rbp; exchange rdi; ret;), &["rdi 0"]);
    check("by lea", |a| asm!(a: lea rsp, qword_ptr(rsp - 0x80); exchange rdi; ret;), &["rdi 128"]);
    check("by a register", |a| asm!(a: sub rsp, rax; exchange rdi; ret;), &["rdi ?"]);
    check("added a register", |a| asm!(a: add rsp, rax; exchange rdi; ret;), &["rdi ?"]);
    check("aligned", |a| asm!(a: push rbp; and rsp, -32; exchange rdi; ret;), &["rdi ?"]);
    check("set", |a| asm!(a: mov rsp, rax; exchange rdi; ret;), &["rdi ?"]);
    check("swapped", |a| asm!(a: xchg rsp, rax; exchange rdi; ret;), &["rdi ?"]);
    check("popped", |a| asm!(a: pop rsp; exchange rdi; ret;), &["rdi ?"]);
    check("compared only", |a| asm!(a: cmp rsp, rax; exchange rdi; ret;), &["rdi 0"]);
    let framed = |a: &mut Asm| asm!(a: push rbp; mov rbp, rsp; and rsp, -32;);
    let check = |what: &str, end: fn(&mut Asm), expected: &[&str]| {
        let write = |a: &mut Asm| {
            framed(a);
            end(a);
        };
        check(what, write, expected);
    };
    check("from the frame by lea", |a| asm!(a: lea rsp, qword_ptr(rbp - 16); exchange rdi; ret;), &["rdi 24"]);
    check("from the frame by mov", |a| asm!(a: mov rsp, rbp; pop rbp; exchange rdi; ret;), &["rdi 0"]);
    check("by leave", |a| asm!(a: leave; exchange rdi; ret;), &["rdi 0"]);
    check("from no frame", |a| asm!(a: xor ebp, ebp; leave; exchange rdi; ret;), &["rdi ?"]);
    check("above the root's entry", |a| asm!(a: leave; add rsp, 8; exchange rdi; ret;), &["rdi ?"]);
    check("too far", |a| asm!(a: leave; sub rsp, 0x10000; exchange rdi; ret;), &["rdi ?"]);
}

#[test]
fn calls_clobber() {
    check("caller-saved", |a| asm!(a: call rax; exchange rdi; ret;), &[]);
    check("callee-saved", |a| asm!(a: mov rbx, rdi; call rax; exchange rbx; ret;), &["rbx 0"]);
    check("system call", |a| asm!(a: mov rcx, rdi; syscall; exchange rcx; ret;), &[]);
}
