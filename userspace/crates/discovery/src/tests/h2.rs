//! The layout of header blocks, learned from code like that which rustc makes of h2.

use iced_x86::code_asm::*;

use super::asm::{Asm, asm};
use crate::{
    code::x86_64::{
        code::Code,
        trace::{TraceEvent, trace},
    },
    h2::{
        layout::{self, Bytes, HeaderBlock},
        streams::{self, Queued, StreamPointer},
    },
    image::elf::Elf,
};

/// Traces the first function, and those that it calls.
fn events(write: impl FnOnce(&mut Asm)) -> Vec<TraceEvent> {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    trace(&Code::new(&elf), assembled.functions[0], 2)
}

const BLOCK: HeaderBlock = HeaderBlock {
    method: 0x60,
    allocated: 11,
    path: Bytes { vtable: 0xb8, pointer: 0xc0, length: 0xc8 },
    entries: 0x20,
    name: Bytes { vtable: 0x40, pointer: 0x48, length: 0x50 },
    value: Bytes { vtable: 0x18, pointer: 0x20, length: 0x28 },
};

/// Drops the `Bytes` whose vtable is loaded from here: vtable, address, length and data in a row.
fn drop_bytes(a: &mut Asm, holder: AsmRegister64, at: i32) {
    asm!(a:
        mov rax, qword_ptr(holder + at);
        lea rdi, qword_ptr(holder + at + 0x18);
        mov rsi, qword_ptr(holder + at + 8);
        mov rdx, qword_ptr(holder + at + 0x10);
        call qword_ptr(rax + 0x20);
    );
}

/// The drop glue of a block: a method, then these in this order.
fn drop_glue(a: &mut Asm, none: u32, bound: u32, own: &[i32]) {
    let tags = |a: &mut Asm, bytes: &mut CodeLabel| {
        asm!(a: movzx eax, byte_ptr(rbx + 0x60); cmp al, none; je *bytes; cmp al, bound; jb *bytes;);
    };
    drop_glue_with(a, tags, own);
}

/// With tags that are tested so; `bytes` is where what lies behind the method is dropped.
fn drop_glue_with(a: &mut Asm, tags: impl FnOnce(&mut Asm, &mut CodeLabel), own: &[i32]) {
    let mut bytes = a.create_label();
    asm!(a: push rbx; push r14; push r15; mov rbx, rdi; mov r14, qword_ptr(rbx + 0x20););
    drop_bytes(a, r14, 0x40);
    drop_bytes(a, r14, 0x18);
    asm!(a: mov r15, qword_ptr(rbx + 0x38););
    drop_bytes(a, r15, 0x20);
    tags(a, &mut bytes);
    asm!(a:
        mov rdi, qword_ptr(rbx + 0x68);
        set_label &mut bytes;
        nop;
    );
    own.iter().for_each(|&at| drop_bytes(a, rbx, at));
    asm!(a: pop r15; pop r14; pop rbx; ret;);
}

#[test]
fn block() {
    let own = [0x78, 0x98, 0xb8, 0xd8];
    let check = |what: &str, expected, none, bound, own: &[i32]| {
        assert_eq!(layout::block(&events(|a| drop_glue(a, none, bound, own))), expected, "{what}");
    };
    check("as it is", Some(BLOCK), 12, 11, &own);
    check("with fewer methods", Some(HeaderBlock { allocated: 10, ..BLOCK }), 11, 10, &own);
    check("with no method before the first", Some(BLOCK), 255, 11, &own);
    let signed = events(|a| {
        drop_glue_with(a, |a, bytes| asm!(a: cmp byte_ptr(rbx + 0x60), 11; jl *bytes;), &own);
    });
    assert_eq!(layout::block(&signed), Some(BLOCK), "with both in one comparison by sign");
    check("without a protocol", None, 12, 11, &own[..3]);
    check("with one more", None, 12, 11, &[0x78, 0x98, 0xb8, 0xd8, 0xf8]);
    check("with another tag between", None, 13, 11, &own);
    let path = Bytes { vtable: 0xd8, pointer: 0xe0, length: 0xe8 };
    check("in another order", Some(HeaderBlock { path, ..BLOCK }), 12, 11, &[0x78, 0x98, 0xd8, 0xb8]);
}

/// Goes through entries: `map[+0x20]` of `len` at `length`, so far apart.
fn measure(a: &mut Asm, length: i32, stride: i32) {
    let (mut next, mut out) = (a.create_label(), a.create_label());
    asm!(a:
        mov r8, qword_ptr(rdi + 0x20); mov r9, qword_ptr(rdi + length); xor ecx, ecx;
        set_label &mut next;
        cmp rcx, r9; jae out;
        imul_3 rax, rcx, stride; add rax, r8; mov rdx, qword_ptr(rax + 0x28);
        inc rcx; jmp next;
        set_label &mut out;
        ret;
    );
}

#[test]
fn entries() {
    let check = |length, stride, expected| {
        assert_eq!(layout::entries(&events(|a| measure(a, length, stride)), 0, 0x20), expected);
    };
    check(0x28, 0x68, Some((0x28, 0x68)));
    check(0x18, 0x70, Some((0x18, 0x70)));
    check(0x40, 0x68, None); // not of the vector
    assert_eq!(layout::entries(&events(|a| measure(a, 0x28, 0x68)), 0, 0x38), None, "of another vector");
    assert_eq!(layout::entries(&events(|a| measure(a, 0x28, 0x68)), 1, 0x20), None, "of another argument");
}

/// Looks up a stream through its pointer in `rcx`.
fn look_up(a: &mut Asm, id: i32) {
    let mut out = a.create_label();
    asm!(a:
        mov rsi, qword_ptr(rcx); mov r8d, dword_ptr(rcx + 8); mov ecx, dword_ptr(rcx + id);
        cmp qword_ptr(rsi + 0x10), r8; jbe out;
        mov rdi, qword_ptr(rsi + 8); imul_3 rsi, r8, 0x148; add rdi, rsi;
        cmp dword_ptr(rdi + 0x12c), ecx; jne out;
        ret;
        set_label &mut out;
        ud2;
    );
}

#[test]
fn stream_pointers() {
    let here = events(|a| look_up(a, 12));
    let pointer = StreamPointer { argument: 3, store: 0, stream: 12 };
    assert_eq!(streams::stream_pointer(&here), Some(pointer));
    let called = events(|a| {
        let mut look = a.create_label();
        asm!(a: push rbx; mov rbx, rdx; mov rcx, rbx; call look; pop rbx; ret; function &mut look;);
        look_up(a, 12);
    });
    assert_eq!(streams::stream_pointer(&called), Some(StreamPointer { argument: 2, ..pointer }), "by a call");
    // The index is no id.
    assert_eq!(streams::stream_pointer(&events(|a| look_up(a, 8))), None);
}

/// Copies the frame in `rsi` into an enum with these tags, and hands that on; the copying function is the
/// second, the queue the third.
fn send(a: &mut Asm, tags: &[i32]) {
    let (mut copy, mut queue) = (a.create_label(), a.create_label());
    asm!(a: push rbx; sub rsp, 0x140; mov rbx, rsi; lea rdi, qword_ptr(rsp + 0x18); mov edx, 0x120; mov rsi, rbx; call copy;);
    tags.iter().for_each(|&at| asm!(a: mov byte_ptr(rsp + 0x10 + at), 1;));
    asm!(a:
        lea rsi, qword_ptr(rsp + 0x10); call queue; add rsp, 0x140; pop rbx; ret;
        function &mut copy; ret;
        function &mut queue; ret;
    );
}

#[test]
fn frames_in_their_enum() {
    let check = |tags: &[i32], expected| {
        let assembled = Asm::assembled(|a| send(a, tags));
        let elf = Elf::parse(&assembled.bytes).unwrap();
        let events = trace(&Code::new(&elf), assembled.functions[0], 0);
        let queue = assembled.functions[2];
        assert_eq!(streams::queued(&events, 1, queue), expected, "{tags:?}");
        assert_eq!(streams::queued(&events, 2, queue), None, "of another argument");
        assert_eq!(streams::queued(&events, 1, assembled.functions[1]), None, "to another function");
    };
    check(&[0], Some(Queued { argument: 1, frame: 8, tag_at: 0, tag_bytes: 1, tag: 1 }));
    check(&[], None); // the tag is somewhere in the frame
    check(&[0, 4], None);
}

#[test]
fn parts_of_frames() {
    let status = |by: i32, bound: i32| {
        events(|a| {
            let mut out = a.create_label();
            asm!(a: mov eax, dword_ptr(rdx + 0xf8); add eax, by; cmp ax, bound; jb out; set_label &mut out; ret;);
        })
    };
    assert_eq!(streams::status_of_frame(&status(-200, -100)), Some((2, 0xf8)));
    assert_eq!(streams::status_of_frame(&status(-100, 99)), Some((2, 0xf8)), "rustc 1.99");
    assert_eq!(streams::status_of_frame(&status(-100, 7)), None);
    assert_eq!(streams::status_of_frame(&status(-300, -100)), None);
    assert_eq!(streams::status_of_frame(&status(-200, -7)), None);
    let loads =
        |second: i32| events(|a| asm!(a: mov eax, dword_ptr(rsi + 0x118); mov ecx, dword_ptr(rsi + second); ret;));
    assert_eq!(streams::stream_of_frame(&loads(0x118), 1), Some(0x118));
    assert_eq!(streams::stream_of_frame(&loads(0x110), 1), None, "two of them");
    assert_eq!(streams::stream_of_frame(&loads(0x118), 2), None, "another argument");
}
