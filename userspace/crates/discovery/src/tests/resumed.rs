//! The bodies that poll functions resume, by instructions as compilers write them.

use iced_x86::{Code as Opcode, Instruction, MemoryOperand, Register, code_asm::*};

use super::{
    asm::{Asm, Assembled, asm},
    image::{CODE, DATA, HEAD, Word},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::Code,
        resumed::{self, ResumedBody},
    },
    image::{elf::Elf, panic_location},
};

pub(super) const MESSAGE: &str = "`async fn` resumed after completion";
pub(super) const FILE: &str = "/home/x/svc/src/main.rs";
/// Where the read-only text is in memory.
pub(super) const TEXT: u64 = HEAD + 0x400;
/// Where a jump table is in it.
const TABLE: u64 = TEXT + 0x100;
/// The future, in bytes from a task's header.
const FUTURE: std::ops::Range<i64> = 0x30..0x100;
/// The body's place in the task, and its state's place in the body.
const BODY: i32 = 0x38;
const STATE: i32 = 0x20;

/// The message, the file's name, and the `Location` at the beginning of the data.
pub(super) fn strings(a: &mut Asm, file: &str, line: u32, column: u32) {
    a.image.text.extend(MESSAGE.bytes().chain(file.bytes()));
    let numbers = u64::from(column) << 32 | u64::from(line);
    let words = [Word::Address(TEXT + MESSAGE.len() as u64), Word::Plain(file.len() as u64), Word::Plain(numbers)];
    a.image.data.extend(words);
}

pub(super) fn lea(a: &mut Asm, to: Register, address: u64) {
    let at = MemoryOperand::new(Register::RIP, Register::None, 1, address as i64, 8, false, Register::None);
    a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, to, at).unwrap()).unwrap();
}

/// The functions of a task: what `raw::poll` does before and after it calls the body, and the body.
fn task(
    before: impl FnOnce(&mut Asm),
    after: impl FnOnce(&mut Asm),
    body: impl FnOnce(&mut Asm, CodeLabel),
) -> Assembled {
    Asm::assembled(|a| {
        strings(a, FILE, 12, 34);
        let [mut poll, mut stage, mut done, mut resumed, mut panic] = [(); 5].map(|()| a.create_label());
        asm!(a: push rbx; sub rsp, 0x20; mov rbx, rdi; cmp dword_ptr(rdi + 0x30), 0; jne stage;);
        before(a);
        asm!(a: lea rdi, qword_ptr(rbx + BODY); lea rsi, qword_ptr(rsp + 8); call poll;);
        after(a);
        asm!(a: add rsp, 0x20; pop rbx; ret; set_label &mut stage; call panic; ud2;);
        asm!(a: function &mut poll;);
        body(a, done);
        asm!(a: set_label &mut done;);
        lea(a, Register::RDI, DATA);
        asm!(a: call resumed; ud2; function &mut resumed; mov rdx, rdi;);
        lea(a, Register::RDI, TEXT);
        asm!(a: mov esi, 0x47; call panic; ud2; function &mut panic; call rax; ud2;);
    })
}

/// The body dispatches by comparing.
fn compares(a: &mut Asm, done: CodeLabel) {
    let mut start = a.create_label();
    asm!(a: movzx eax, byte_ptr(rdi + STATE); test al, al; je start; cmp al, 1; je done;);
    asm!(a: set_label &mut start; mov byte_ptr(rdi + STATE), 3; mov eax, 1; ret;);
}

fn nothing(_: &mut Asm) {}

fn found(assembled: &Assembled) -> Option<ResumedBody> {
    let elf = Elf::parse(&assembled.bytes).unwrap();
    resumed::find(&Code::new(&elf), ElfAddr(CODE), FUTURE)
}

fn check(what: &str, assembled: &Assembled, alone: Option<bool>) {
    let state_at = i64::from(BODY + STATE);
    let expected = alone.map(|alone| ResumedBody { location: ElfAddr(DATA), state_at, alone });
    assert_eq!(found(assembled), expected, "{what}");
}

#[test]
fn a_body_is_known_by_its_state_and_its_panic() {
    check("compared", &task(nothing, nothing, compares), Some(true));
    check(
        "compared in memory",
        &task(nothing, nothing, |a, done| {
            asm!(a: cmp byte_ptr(rdi + STATE), 1; je done; ret;);
        }),
        Some(true),
    );
    // The frame holds what is aligned to more than the stack is.
    let aligned = |mask: i32| {
        task(nothing, nothing, move |a, done| {
            asm!(a: push rbp; mov rbp, rsp; push rbx; and rsp, mask; sub rsp, 0x100; mov rbx, rdi;);
            asm!(a: movzx eax, byte_ptr(rdi + STATE); cmp al, 1; mov qword_ptr(rsp + 0x48), rsi; je done;);
            asm!(a: lea rsp, qword_ptr(rbp - 8); pop rbx; pop rbp; ret;);
        })
    };
    check("in an aligned frame", &aligned(-128), Some(true));
    check("in a frame at a place that is not known", &aligned(0x7f), None);
    let by_number = |a: &mut Asm, done| {
        let mut waits = a.create_label();
        asm!(a: movzx eax, byte_ptr(rdi + STATE); dec al; cmp al, 1; ja waits; je waits; jmp done;);
        asm!(a: set_label &mut waits; ret;);
    };
    check("after arithmetic", &task(nothing, nothing, by_number), Some(true));
    // As it was before there was a function for each message.
    let passed = |a: &mut Asm, done: CodeLabel| {
        let [mut panic, mut says] = [(); 2].map(|()| a.create_label());
        asm!(a: cmp byte_ptr(rdi + STATE), 1; je panic; cmp byte_ptr(rdi + STATE), 77; je done; ret;);
        asm!(a: set_label &mut panic;);
        lea(a, Register::RDI, TEXT);
        lea(a, Register::RDX, DATA);
        asm!(a: mov esi, 35; call says; ud2; function &mut says; call rax; ud2;);
    };
    check("told by the message that is passed", &task(nothing, nothing, passed), Some(true));
}

#[test]
fn a_body_is_known_by_a_jump_table() {
    let with = |entries: &[i32]| {
        task(nothing, nothing, |a, mut done| {
            let len = a.image.text.len();
            a.image.text.resize((TABLE - TEXT) as usize, 0);
            assert!(len <= a.image.text.len());
            a.image.text.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
            asm!(a: movzx eax, byte_ptr(rdi + STATE););
            lea(a, Register::RCX, TABLE);
            asm!(a: movsxd rax, dword_ptr(rcx + rax * 4); add rax, rcx; jmp rax;);
            asm!(a: mark; mov byte_ptr(rdi + STATE), 3; ret; mark; jmp done; mark; ret;);
            let _ = &mut done;
        })
    };
    let places = with(&[0; 4]).marks;
    let entry = |place: usize| (places[place].0 as i64 - TABLE as i64) as i32;
    check("by its table", &with(&[entry(0), entry(1), entry(1), entry(2)]), Some(true));
    check("0 does not start it", &with(&[entry(1), entry(1), entry(1), entry(2)]), None);
    check("1 does not panic", &with(&[entry(0), entry(2), entry(1), entry(2)]), None);
    check("out of the function", &with(&[entry(0), 0x7fff_0000, entry(1), entry(2)]), None);
}

#[test]
fn a_body_inside_another_future_is_not_the_future() {
    let reads = |a: &mut Asm| asm!(a: cmp qword_ptr(rbx + 0x80), 5;);
    check("another field is read before", &task(reads, nothing, compares), Some(false));
    let writes = |a: &mut Asm| asm!(a: mov qword_ptr(rbx + 0x80), 5;);
    check("another field is written before", &task(writes, nothing, compares), Some(false));
    let polls = |a: &mut Asm| asm!(a: lea rdi, qword_ptr(rbx + 0x90); lea rsi, qword_ptr(rsp + 8); call rax;);
    check("another future is polled after", &task(nothing, polls, compares), Some(false));
    check("another future is polled before", &task(polls, nothing, compares), Some(false));
    let drops = |a: &mut Asm| asm!(a: lea rdi, qword_ptr(rbx + 0x30); call rax;);
    check("it is dropped after", &task(nothing, drops, compares), Some(true));
    let goes_on = |a: &mut Asm, done: CodeLabel| {
        asm!(a: cmp byte_ptr(rdi + STATE), 1; je done; mov byte_ptr(rdi + STATE), 3; cmp qword_ptr(rdi + 0x40), 1; ret;);
    };
    check("what is inlined around it goes on", &task(nothing, nothing, goes_on), Some(false));
}

#[test]
fn other_bytes_are_no_states() {
    let behind_a_pointer = |a: &mut Asm, done: CodeLabel| {
        asm!(a: mov rax, qword_ptr(rdi + STATE); cmp byte_ptr(rax), 1; je done; ret;);
    };
    check("behind a pointer", &task(nothing, nothing, behind_a_pointer), None);
    let beyond = |a: &mut Asm, done: CodeLabel| asm!(a: cmp byte_ptr(rdi + 0x200), 1; je done; ret;);
    check("not in the future", &task(nothing, nothing, beyond), None);
    let on_the_stack = |a: &mut Asm, done: CodeLabel| asm!(a: cmp byte_ptr(rsp - 8), 1; je done; ret;);
    check("on the stack", &task(nothing, nothing, on_the_stack), None);
    let wider = |a: &mut Asm, done: CodeLabel| asm!(a: cmp dword_ptr(rdi + STATE), 1; je done; ret;);
    check("wider", &task(nothing, nothing, wider), None);
    let other = |a: &mut Asm, done: CodeLabel| {
        asm!(a: movzx eax, byte_ptr(rdi + STATE); cmp ecx, 1; je done; test al, al; ret;);
    };
    check("another value decides", &task(nothing, nothing, other), None);
    let always = |a: &mut Asm, done: CodeLabel| asm!(a: movzx eax, byte_ptr(rdi + STATE); jmp done;);
    check("nothing decides", &task(nothing, nothing, always), None);
    let called = |a: &mut Asm, done: CodeLabel| {
        asm!(a: cmp byte_ptr(rdi + STATE), 2; jbe done; ret;);
    };
    check("0 panics as well", &task(nothing, nothing, called), None);
}

#[test]
fn code_without_an_end_is_left() {
    let recursion = Asm::assembled(|a| {
        strings(a, FILE, 1, 1);
        let mut again = a.create_label();
        asm!(a: set_label &mut again; lea rsi, qword_ptr(rsp + 8); call again; call again; call again; jmp again;);
    });
    assert_eq!(found(&recursion), None);
}

#[test]
fn places_are_read_only_where_they_are_places() {
    let check = |file: &str, line: u32, column: u32, expected: Option<&str>| {
        let assembled = Asm::assembled(|a| {
            strings(a, file, line, column);
            asm!(a: ret;);
        });
        let elf = Elf::parse(&assembled.bytes).unwrap();
        let place = panic_location::at(&elf, ElfAddr(DATA));
        let shown = place.map(|place| format!("{}:{}:{}", place.file, place.line, place.column));
        assert_eq!(shown.as_deref(), expected, "{file}:{line}:{column}");
        for at in [0, DATA + 1, DATA + 8, DATA + 16, u64::MAX - 7] {
            assert_eq!(panic_location::at(&elf, ElfAddr(at)), None, "{at:#x}");
        }
    };
    check(FILE, 12, 34, Some("svc/src/main.rs:12:34"));
    check(FILE, 0, 34, None);
    check(FILE, 12, 0, None);
    check(FILE, 1 << 25, 1, None);
    check("src/main.c", 1, 1, None);
    check("src/\u{1b}[31m.rs", 1, 1, None);
    check("", 1, 1, None);
    check(&format!("{}.rs", "a".repeat(1025)), 1, 1, None);
}
