//! The header followed to the exchanges of a state word.

use iced_x86::{Code as Opcode, Instruction, MemoryOperand, Register, code_asm::*};

use super::{
    asm::{Asm, Assembled, asm},
    image::{DATA, Word},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::Code,
        flow::{self, Flow},
    },
    image::elf::Elf,
};

/// The flow from the first function, whose first argument is the header.
fn followed(write: impl FnOnce(&mut Asm)) -> (Assembled, Flow) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let flow = flow::follow(&Code::new(&elf), ElfAddr(super::image::CODE), 1);
    (assembled, flow)
}

/// Each exchange that is found: the header's register, where the root's return address is above the
/// stack pointer, and whether it starts a poll or completes the task.
pub(super) fn check(what: &str, write: impl FnOnce(&mut Asm), expected: &[&str]) {
    let (assembled, flow) = followed(write);
    let found = flow.exchanges.values().map(|exchange| {
        assert!(assembled.marks.contains(&ElfAddr(exchange.after.ip())), "{what}: {exchange:?}");
        let caller = exchange.caller.map_or("?".to_owned(), |bytes| bytes.to_string());
        let running = if exchange.starts_running { " running" } else { "" };
        let completes = if exchange.completes { " completes" } else { "" };
        format!("{:?} {caller}{running}{completes}", exchange.header).to_lowercase()
    });
    assert_eq!(found.collect::<Vec<_>>(), expected, "{what}");
}

#[test]
fn into_other_functions() {
    let called = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: push rbx; mov rsi, rdi; xor edi, edi; call other; pop rbx; ret;);
        asm!(a: function &mut other; push rax; exchange rsi; pop rax; ret;);
    };
    check("called", called, &["rsi 24"]);
    let jumped = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: push rbx; pop rbx; jmp other; function &mut other; push rax; exchange rdi; pop rax; ret;);
    };
    check("jumped to", jumped, &["rdi 8"]);
    let got = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: push rbx; call_got 1; pop rbx; ret; function &mut other; exchange rdi; ret;);
    };
    check("called by the GOT", got, &["rdi 16"]);
    let jumped_got = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: jmp_got 1; function &mut other; exchange rdi; ret;);
    };
    check("jumped to by the GOT", jumped_got, &["rdi 0"]);
    let without = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: mov rbx, rdi; xor edi, edi; call other; ret; function &mut other; exchange rdi; ret;);
    };
    check("called without it", without, &[]);
    let by_register = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: load_got 1; call rax; ret; function &mut other; exchange rdi; ret;);
    };
    check("called by a register", by_register, &[]);
    let endless = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: call other; ret; function &mut other; call other; exchange rdi; ret;);
    };
    check("calls itself", endless, &[]);
}

#[test]
fn two_ways_to_one_function() {
    let ways = |a: &mut Asm, first: fn(&mut Asm, CodeLabel), then: fn(&mut Asm, CodeLabel)| {
        let mut other = a.create_label();
        asm!(a: mov rbx, rdi;);
        first(a, other);
        asm!(a: mov rdi, rbx;);
        then(a, other);
        asm!(a: function &mut other; exchange rdi; ret;);
    };
    let called = |a: &mut Asm, other| asm!(a: call other;);
    let called_deep = |a: &mut Asm, other| asm!(a: sub rsp, 16; call other; add rsp, 16;);
    let jumped = |a: &mut Asm, other| asm!(a: jmp other;);
    check("called twice", |a| ways(a, called, called), &["rdi 8"]);
    check("called from two depths", |a| ways(a, called, called_deep), &["rdi ?"]);
    check("called and jumped to", |a| ways(a, called, jumped), &["rdi ?"]);
    let (assembled, flow) = followed(|a| ways(a, called, jumped));
    assert_eq!(flow.tail, [assembled.functions[1], assembled.functions[0]], "a call hides no end of the root");
    assert_eq!(flow.exits.len(), 1, "the return of the function that the root becomes");
}

#[test]
fn where_ways_meet() {
    let meeting = |a: &mut Asm, other_way: fn(&mut Asm)| {
        let (mut other, mut out) = (a.create_label(), a.create_label());
        asm!(a: test rsi, rsi; jne other; mov rbx, rdi; jmp out; set_label &mut other;);
        other_way(a);
        asm!(a: set_label &mut out; exchange rbx; ret;);
    };
    check("both hold it", |a| meeting(a, |a| asm!(a: mov rbx, rdi;)), &["rbx 0"]);
    check("in another register", |a| meeting(a, |a| asm!(a: mov rbx, rsi;)), &[]);
    check("in none", |a| meeting(a, |a| asm!(a: nop;)), &[]);
    check("at another depth", |a| meeting(a, |a| asm!(a: mov rbx, rdi; push rax;)), &["rbx ?"]);
    check("does not come there", |a| meeting(a, |a| asm!(a: ret; nop;)), &["rbx 0"]);
}

#[test]
fn in_loops() {
    let overwritten = |a: &mut Asm| {
        let mut again = a.create_label();
        asm!(a: set_label &mut again; exchange rdi; mov rdi, rsi; jne again; ret;);
    };
    check("overwritten for the next turn", overwritten, &[]);
    let retried = |a: &mut Asm| {
        let mut again = a.create_label();
        asm!(a: mov rax, qword_ptr(rdi); set_label &mut again; mov rdx, rax; or rdx, 4; exchange rdi; jne again; ret;);
    };
    check("retried", retried, &["rdi 0"]);
}

#[test]
fn what_follows_is_jumped_to() {
    let jumped_to = |a: &mut Asm| {
        let mut after = a.create_label();
        asm!(a: test rsi, rsi; je after; exchange rdi; set_label &mut after; ret;);
    };
    check("it runs without the exchange, too", jumped_to, &[]);
    let beyond = |a: &mut Asm| {
        let mut after = a.create_label();
        asm!(a: test rsi, rsi; je after; exchange rdi; nop; set_label &mut after; ret;);
    };
    check("not the next instruction", beyond, &["rdi 0"]);
}

#[test]
fn after_what_panics() {
    let check = |what: &str, write: fn(&mut Asm), expected: &[&str]| {
        check(
            what,
            |a| {
                let (mut callee, mut on) = (a.create_label(), a.create_label());
                asm!(a: test rsi, rsi; jne on; call callee; set_label &mut on; exchange rdi; ret;);
                a.function(&mut callee).unwrap();
                write(a);
            },
            expected,
        );
    };
    check("a callee that returns", |a| asm!(a: call rax; ret;), &[]);
    check("one that panics", |a| asm!(a: call rax; ud2;), &["rdi 0"]);
    check("one that goes on elsewhere", |a| asm!(a: call rax; jmp rax;), &[]);
    check("one that only ends in nothing", |a| asm!(a: ud2;), &[]);
}

/// A jump through a table of two cases, both at `case`; a call elsewhere loses the header.
fn through_table(case: u64, steps: i32) -> impl FnOnce(&mut Asm) {
    move |a| {
        let mut other = a.create_label();
        let table = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
        let entry = u64::from((case as u32).wrapping_sub(DATA as u32));
        a.image.data.push(Word::Plain(entry | entry << 32));
        asm!(a: test rsi, rsi; je other;);
        a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, Register::RCX, table).unwrap()).unwrap();
        asm!(a: movsxd rax, dword_ptr(rcx + rax * 4 + steps); add rax, rcx; jmp rax; exchange rdi; ret;);
        asm!(a: set_label &mut other; call rax; ret;);
    }
}

#[test]
fn cases_of_a_table() {
    const EXCHANGE_LEN: u64 = 5;
    let (assembled, _) = followed(through_table(0, 0));
    let case = assembled.marks[0].0 - EXCHANGE_LEN;
    check("its cases", through_table(case, 0), &["rdi 0"]);
    check("a case inside an instruction", through_table(case + 1, 0), &[]);
    check("a case in no function", through_table(0, 0), &[]);
    check("another table", through_table(case, 0x1000), &[]);
}

#[test]
fn behind_jump_tables() {
    check("as passed", |a| asm!(a: jmp rax; exchange rdi; ret;), &["rdi 0"]);
    check("moved", |a| asm!(a: mov rbx, rdi; xor edi, edi; jmp rax; exchange rbx; ret;), &["rbx 0"]);
    check("overwritten", |a| asm!(a: xor edi, edi; jmp rax; exchange rdi; ret;), &[]);
    check("table at a fixed address", |a| asm!(a: jmp qword_ptr(rax * 8 + 0x1000); exchange rdi; ret;), &["rdi 0"]);
    let two = |a: &mut Asm| {
        let mut other = a.create_label();
        asm!(a: test rsi, rsi; je other; jmp rax; set_label &mut other; xor edi, edi; jmp rax; exchange rdi; ret;);
    };
    check("one of two has lost it", two, &[]);
    check("landing pad", |a| asm!(a: mov rbx, rdi; call rax; ret; exchange rbx; ret;), &["rbx 0"]);
    check("landing pad, clobbered", |a| asm!(a: call rax; ret; exchange rdi; ret;), &[]);
    check("nothing leads there", |a| asm!(a: ret; exchange rdi; ret;), &[]);
}

#[test]
fn starts_of_polls() {
    let masked = |mask: i32| move |a: &mut Asm| asm!(a: mov rdx, rax; and rdx, mask; or rdx, 1; exchange rdi; ret;);
    check("lifecycle and NOTIFIED cleared", masked(!7), &["rdi 0 running"]);
    check("lifecycle cleared", masked(!3), &["rdi 0"]);
    check("RUNNING cleared", masked(!1), &["rdi 0"]);
    check("another register", |a| asm!(a: and rcx, !7i32; exchange rdi; ret;), &["rdi 0"]);
    check("the other way round", |a| asm!(a: and rdx, 7; exchange rdi; ret;), &["rdi 0"]);
    check("by a register", |a| asm!(a: and rdx, rcx; exchange rdi; ret;), &["rdi 0"]);
    check("overwritten since", |a| asm!(a: and rdx, !7i32; mov rdx, rcx; exchange rdi; ret;), &["rdi 0"]);
    let before_jump = |a: &mut Asm| {
        let mut out = a.create_label();
        asm!(a: and rdx, !7i32; je out; exchange rdi; nop; set_label &mut out; ret;);
    };
    check("before a jump", before_jump, &["rdi 0"]);
}

#[test]
fn exits() {
    let check = |what: &str, write: fn(&mut Asm)| {
        let (assembled, flow) = followed(write);
        let exits: Vec<_> = flow.exits.keys().copied().map(ElfAddr).collect();
        assert_eq!(exits, assembled.marks, "{what}");
    };
    check("returns", |a| asm!(a: je 0x31003; mark; ret; mark; ret;));
    check("jumps to another library", |a| asm!(a: mark; jmp qword_ptr(rax + 0x18);));
    check("a table is no exit", |a| asm!(a: jmp rax; mark; ret;));
    check("a table at a fixed address is no exit", |a| asm!(a: jmp qword_ptr(rax * 8 + 0x1000); mark; ret;));
    check("a called function's return is none", |a| {
        let mut other = a.create_label();
        asm!(a: call other; mark; ret; function &mut other; ret;);
    });
    check("of the function that it becomes", |a| {
        let mut other = a.create_label();
        asm!(a: jmp other; function &mut other; mark; ret;);
    });
    check("becomes one that does not get the header", |a| {
        let mut other = a.create_label();
        asm!(a: xor edi, edi; mark; jmp other; function &mut other; ret;);
    });
}

#[test]
fn what_a_root_becomes() {
    let check = |what: &str, write: fn(&mut Asm), expected: &[usize]| {
        let (assembled, flow) = followed(write);
        let expected: Vec<_> = expected.iter().map(|&index| assembled.functions[index]).collect();
        assert_eq!(flow.tail, expected, "{what}");
    };
    check("itself", |a| asm!(a: ret;), &[0]);
    check(
        "one that exchanges",
        |a| {
            let mut other = a.create_label();
            asm!(a: jmp other; function &mut other; exchange rdi; ret;);
        },
        &[1, 0],
    );
    check(
        "one that does not",
        |a| {
            let mut other = a.create_label();
            asm!(a: jmp other; function &mut other; ret;);
        },
        &[0],
    );
    check(
        "one that is called",
        |a| {
            let mut other = a.create_label();
            asm!(a: call other; ret; function &mut other; exchange rdi; ret;);
        },
        &[0],
    );
}

#[test]
fn what_is_mentioned() {
    let check = |what: &str, write: fn(&mut Asm), expected: &[usize]| {
        let (assembled, flow) = followed(write);
        let expected: Vec<_> = expected.iter().map(|&index| assembled.functions[index]).collect();
        assert_eq!(flow.mentioned, expected, "{what}");
    };
    check(
        "loaded from the GOT",
        |a| {
            let mut other = a.create_label();
            asm!(a: load_got 1; ret; function &mut other; ret;);
        },
        &[1],
    );
    check(
        "loaded by lea",
        |a| {
            let mut other = a.create_label();
            asm!(a: lea rax, ptr(other); ret; function &mut other; ret;);
        },
        &[1],
    );
    check(
        "called without the header",
        |a| {
            let mut other = a.create_label();
            asm!(a: xor edi, edi; call other; ret; function &mut other; ret;);
        },
        &[1],
    );
    check("nothing", |a| asm!(a: lea rax, qword_ptr(rsp + 8); mov rcx, qword_ptr(rax); ret;), &[]);
}

#[test]
fn an_exchange_that_completes() {
    let made = |make: fn(&mut Asm)| {
        move |a: &mut Asm| {
            let mut again = a.create_label();
            asm!(a: mov rax, qword_ptr(rdi); set_label &mut again; mov rdx, rax;);
            make(a);
            asm!(a: exchange rdi; jne again; ret;);
        }
    };
    check("both bits flipped", made(|a| asm!(a: xor rdx, 3;)), &["rdi 0 completes"]);
    check("one bit", made(|a| asm!(a: xor rdx, 1;)), &["rdi 0"]);
    check("bits cleared", made(|a| asm!(a: and rdx, -4;)), &["rdi 0"]);
    check("more than that", made(|a| asm!(a: xor rdx, 3; or rdx, 4;)), &["rdi 0"]);
    check("less a reference", made(|a| asm!(a: xor rdx, 3; sub rdx, 64;)), &["rdi 0"]);
    check("flipped twice", made(|a| asm!(a: xor rdx, 3; xor rdx, 3;)), &["rdi 0"]);
    check("from elsewhere", made(|a| asm!(a: xor rdx, 3; mov rdx, rsi;)), &["rdi 0"]);
}
