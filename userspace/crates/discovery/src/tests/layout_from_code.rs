//! What bodies wait for, by instructions as compilers write them.

use asyncscope_trace::{
    chain::{Layout, LayoutSource, Program, Step, Variant},
    facts::AwaitKind,
};
use iced_x86::{Register, code_asm::*};

use super::{
    asm::{Asm, Assembled, asm},
    image::{CODE, DATA},
    resumed::{FILE, TEXT, lea, strings},
};
use crate::{addr::ElfAddr, code::x86_64::code::Code, image::elf::Elf, layout_from_code, tokio::vtables::Vtable};

/// A task's id in it; the future begins behind it and the stage.
const ID: u32 = 0x28;
/// The body's place in the task, its state's place in the body, and those of what it awaits.
const BODY: i32 = 0x38;
const STATE: i32 = 0x20;
const FIRST: i32 = 0x28;
const SECOND: i32 = 0x40;

/// The functions that a body may call: what it awaits first and second, and its panic.
struct Calls {
    first: CodeLabel,
    second: CodeLabel,
    done: CodeLabel,
}

/// A task whose `raw::poll` makes a `Context` and polls a body, which is written by the caller.
fn task(body: impl FnOnce(&mut Asm, &Calls)) -> Assembled {
    Asm::assembled(|a| {
        strings(a, FILE, 12, 34);
        let [mut poll, mut first, mut second, mut done, mut resumed, mut panic] = [(); 6].map(|()| a.create_label());
        asm!(a: push rbx; sub rsp, 0x40; mov rbx, rdi;);
        lea(a, Register::RAX, DATA);
        asm!(a: mov qword_ptr(rsp + 0x20), rax; mov qword_ptr(rsp + 0x28), rdi; lea rax, qword_ptr(rsp + 0x20););
        asm!(a: mov qword_ptr(rsp + 0x10), rax; lea rsi, qword_ptr(rsp + 0x10); lea rdi, qword_ptr(rbx + BODY););
        asm!(a: call poll; add rsp, 0x40; pop rbx; ret; function &mut poll;);
        let calls = Calls { first, second, done };
        asm!(a: push rbx; push r14; push r15; mov rbx, rdi; mov r14, rsi;);
        body(a, &calls);
        asm!(a: set_label &mut done;);
        lea(a, Register::RDI, DATA);
        asm!(a: call resumed; ud2; function &mut resumed; mov rdx, rdi;);
        lea(a, Register::RDI, TEXT);
        asm!(a: mov esi, 0x47; call panic; ud2; function &mut panic; call rax; ud2;);
        for leaf in [&mut first, &mut second] {
            asm!(a: function leaf; mov rax, qword_ptr(rsi); mov qword_ptr(rdi), rax; mov eax, 1; ret;);
        }
    })
}

/// Polls what lies there, and goes on at `ready`; or stores that state and returns.
fn awaits(a: &mut Asm, at: i32, function: CodeLabel, state: u32, ready: CodeLabel) {
    asm!(a: lea rdi, qword_ptr(rbx + at); mov rsi, r14; call function; test al, al; je ready;);
    asm!(a: mov byte_ptr(rbx + STATE), state; mov eax, 1;);
    returns(a);
}

fn returns(a: &mut Asm) {
    asm!(a: pop r15; pop r14; pop rbx; ret;);
}

fn dispatches(a: &mut Asm, calls: &Calls, start: CodeLabel, third: CodeLabel, fourth: CodeLabel) {
    asm!(a: movzx eax, byte_ptr(rdi + STATE); test al, al; je start; cmp al, 1; je calls.done;);
    asm!(a: cmp al, 3; je third; cmp al, 4; je fourth; ud2;);
}

fn compiled(assembled: &Assembled) -> Program {
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let nowhere = ElfAddr(0);
    let vtable = Vtable {
        address: ElfAddr(DATA),
        poll: ElfAddr(CODE),
        schedule: nowhere,
        dealloc: nowhere,
        try_read_output: nowhere,
        drop_join_handle_slow: nowhere,
        shutdown: nowhere,
        id_offset: ID,
    };
    layout_from_code::compile(&Code::new(&elf), &[vtable])
}

/// The body, where its future begins in the task, and the variant of the state.
fn state(program: &Program, number: u64) -> Option<(u32, &Layout, &Variant)> {
    let task = &program.layouts[program.task(DATA)? as usize];
    let edge = task.variants[0].edges[0];
    let body = &program.layouts[edge.to as usize];
    Some((edge.offset, body, body.variants.iter().find(|variant| variant.value == Some(number))?))
}

fn frame(program: &Program, variant: &Variant) -> (String, AwaitKind) {
    let frame = &program.frames[variant.frame.unwrap() as usize];
    (frame.name.clone(), frame.kind)
}

/// The places of what a state waits for; `None` where that is said not to be known.
fn waits_for(program: &Program, variant: &Variant) -> Option<Vec<u32>> {
    let to = |number: u32| &program.layouts[number as usize].variants[0];
    let is_unknown = |number: u32| {
        to(number).frame.is_some_and(|frame| program.frames[frame as usize].name.starts_with("not known"))
    };
    let known =
        variant.edges.iter().map(|edge| (!is_unknown(edge.to) && edge.step == Step::Inside).then_some(edge.offset));
    known.collect()
}

/// Two awaits, one after the other.
fn two(a: &mut Asm, calls: &Calls) {
    let [mut start, mut third, mut fourth, mut end] = [(); 4].map(|()| a.create_label());
    dispatches(a, calls, start, third, fourth);
    asm!(a: set_label &mut start; mov qword_ptr(rbx + FIRST), 0; set_label &mut third;);
    let mut ready = a.create_label();
    awaits(a, FIRST, calls.first, 3, ready);
    asm!(a: set_label &mut ready; mov qword_ptr(rbx + SECOND), 0; set_label &mut fourth;);
    awaits(a, SECOND, calls.second, 4, end);
    asm!(a: set_label &mut end; mov byte_ptr(rbx + STATE), 1; xor eax, eax;);
    returns(a);
}

#[test]
fn a_state_waits_for_what_is_polled_before_it_is_stored_again() {
    let program = compiled(&task(two));
    assert_eq!(program.source, LayoutSource::Code);
    for (number, place) in [(3, FIRST), (4, SECOND)] {
        let (at, body, variant) = state(&program, number).unwrap();
        assert_eq!((at, body.discriminant.unwrap().offset), (BODY as u32, STATE as u32));
        let await_number = number - 2;
        assert_eq!(frame(&program, variant), (format!("svc/src/main.rs:12 await {await_number}"), AwaitKind::Await));
        assert_eq!(waits_for(&program, variant), Some(vec![place as u32]));
    }
    assert_eq!(frame(&program, state(&program, 0).unwrap().2).1, AwaitKind::Unstarted);
    assert_eq!(state(&program, 5), None);
}

#[test]
fn a_future_that_is_always_ready_is_not_what_a_state_waits_for() {
    // In state 3 nothing is polled but what is awaited in state 4.
    let program = compiled(&task(|a, calls| {
        let [mut start, mut third, mut fourth, mut end] = [(); 4].map(|()| a.create_label());
        dispatches(a, calls, start, third, fourth);
        asm!(a: set_label &mut start; mov byte_ptr(rbx + STATE), 3; mov eax, 1;);
        returns(a);
        asm!(a: set_label &mut third; nop; set_label &mut fourth;);
        awaits(a, SECOND, calls.second, 4, end);
        asm!(a: set_label &mut end; mov byte_ptr(rbx + STATE), 1; xor eax, eax;);
        returns(a);
    }));
    assert_eq!(waits_for(&program, state(&program, 3).unwrap().2), None);
    assert_eq!(waits_for(&program, state(&program, 4).unwrap().2), Some(vec![SECOND as u32]));
}

#[test]
fn what_is_polled_after_the_future_was_changed_is_awaited_next() {
    // State 4 waits for something inlined; where that is over, the loop awaits the first again.
    let program = compiled(&task(|a, calls| {
        let [mut start, mut third, mut fourth, mut inlined, mut over] = [(); 5].map(|()| a.create_label());
        dispatches(a, calls, start, third, fourth);
        asm!(a: set_label &mut start; nop; set_label &mut over; mov qword_ptr(rbx + FIRST), 0; set_label &mut third;);
        awaits(a, FIRST, calls.first, 3, inlined);
        asm!(a: set_label &mut inlined; nop; set_label &mut fourth; mov rax, qword_ptr(r14); test rax, rax; jne over;);
        asm!(a: mov byte_ptr(rbx + STATE), 4; mov eax, 1;);
        returns(a);
    }));
    assert_eq!(waits_for(&program, state(&program, 3).unwrap().2), Some(vec![FIRST as u32]));
    assert_eq!(waits_for(&program, state(&program, 4).unwrap().2), None);
}

#[test]
fn a_body_that_nothing_proves_is_shown_as_a_future_that_is_not_known() {
    // It never returns, so that there is no panic.
    let program = compiled(&task(|a, calls| {
        let [mut third, mut over] = [(); 2].map(|()| a.create_label());
        asm!(a: movzx eax, byte_ptr(rdi + STATE); cmp al, 3; je third;);
        asm!(a: set_label &mut over; mov qword_ptr(rbx + FIRST), 0; set_label &mut third;);
        awaits(a, FIRST, calls.first, 3, over);
    }));
    let task = &program.layouts[program.task(DATA).unwrap() as usize];
    let polled = &program.layouts[task.variants[0].edges[0].to as usize];
    assert_eq!((polled.discriminant, polled.variants.len()), (None, 1));
    let (name, kind) = frame(&program, &polled.variants[0]);
    assert!(name.starts_with("future polled at 0x") && kind == AwaitKind::Unknown, "{name} {kind:?}");
}
