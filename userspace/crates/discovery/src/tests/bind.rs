//! Binds of tasks, by what the instructions do.

use std::collections::BTreeSet;

use iced_x86::{Code as Opcode, Instruction, MemoryOperand, Register, code_asm::*};

use super::{
    asm::{Asm, asm},
    image::DATA,
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{bind, code::Code},
    image::elf::Elf,
};

/// The registers with the header where tasks are bound, `entry` for the second argument; each is to be
/// at a mark.
fn check(what: &str, expected: &[&str], write: impl FnOnce(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found: Vec<_> = bind::find(&Code::new(&elf), &BTreeSet::from([ElfAddr(DATA)]));
    let shown: Vec<_> = found
        .iter()
        .map(|bind| if bind.second_argument { "entry".to_owned() } else { format!("{:?}", bind.header).to_lowercase() })
        .collect();
    assert_eq!(shown, expected, "{what}");
    let places: Vec<_> = found.iter().map(|bind| ElfAddr(bind.at.ip())).collect();
    assert_eq!(places, assembled.marks, "{what}");
    assert!(found.iter().all(|bind| bind.function == assembled.functions[0]), "{what}");
}

#[test]
fn at_an_entry() {
    let check = |what: &str, write: fn(&mut Asm)| check(what, &["entry"], write);
    check("bind_inner", |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; mark; ret;));
    check("in one register", |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; id rax, rsi, rax; mark; ret;));
    check("the other sum", |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; id rcx, rax, rsi; mark; ret;));
    check("owner last", |a| asm!(a: vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; owner rsi; mark; ret;));
    check("owner between", |a| asm!(a: vtable rax, rsi; owner rsi; id_offset rax, rax; id rcx, rsi, rax; mark; ret;));
    check(
        "the id's address",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; lea rcx, qword_ptr(rsi + rax); mark; ret;),
    );
    check(
        "moved first",
        |a| asm!(a: mov rbx, rsi; vtable rax, rbx; id_offset rax, rax; id rcx, rbx, rax; owner rbx; mark; ret;),
    );
    check(
        "at a call",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; cdq; mark; call rax; ret;),
    );
    check(
        "at an emulated one",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; cdq; mark; push rdx; ret;),
    );
}

/// A bind of a header that a call returned, in RAX and moved on to `header`.
fn inlined(header: AsmRegister64) -> impl FnOnce(&mut Asm) {
    move |a| {
        asm!(a: call rax; mov header, rax; owner header; vtable rcx, header; id_offset rcx, rcx;);
        asm!(a: id rcx, header, rcx; mark; call rcx;);
    }
}

/// A bind of the header in that register alone.
fn moved(header: AsmRegister64) -> impl FnOnce(&mut Asm) {
    move |a| {
        asm!(a: call rax; mov header, rax; xor eax, eax; owner header; vtable rcx, header; id_offset rcx, rcx;);
        asm!(a: id rcx, header, rcx; mark; call rcx;);
    }
}

/// A bind with the vtable in that register.
fn vtable_in(vtable: AsmRegister64) -> impl FnOnce(&mut Asm) {
    move |a| {
        asm!(a: call rax; owner rbx; vtable vtable, rbx; id_offset vtable, vtable; id rcx, rbx, vtable; mark;);
        asm!(a: call rcx;);
    }
}

#[test]
fn inlined_anywhere() {
    for header in [rbx, rbp, r12, r13, r14, r15, rdx] {
        check("the first register that holds it", &["rax"], inlined(header));
    }
    check("rbx", &["rbx"], moved(rbx));
    check("rbp", &["rbp"], moved(rbp));
    check("rdi", &["rdi"], moved(rdi));
    check("rsi is no argument any more", &["rsi"], moved(rsi));
    check("r8", &["r8"], moved(r8));
    check("r12", &["r12"], moved(r12));
    check("r13", &["r13"], moved(r13));
    check("r15", &["r15"], moved(r15));
    for vtable in [rcx, rbp, r8, r12, r13] {
        check("its vtable in any register", &["rbx"], vtable_in(vtable));
    }
    check("two", &["rax", "rbx"], |a| {
        inlined(r14)(a);
        moved(rbx)(a);
    });
    check("moved on", &["rsi"], |a| {
        asm!(a: call rax; owner rbx; vtable rcx, rbx; id_offset rcx, rcx; id rcx, rbx, rcx;);
        asm!(a: mov rsi, rbx; mov rbx, rcx; mark; call rcx;);
    });
}

/// A bind of a task whose allocation's address was put into RBX, unless that failed, and stands in R14.
fn allocated(choose: impl FnOnce(&mut Asm)) -> impl FnOnce(&mut Asm) {
    move |a| {
        choose(a);
        asm!(a: owner r14; vtable rax, rbx; id_offset rax, rax; id rcx, r14, rax; mark; call rcx;);
    }
}

#[test]
fn a_header_in_two_registers() {
    let bind = |what: &str, choose: fn(&mut Asm, CodeLabel)| {
        let mut found = false;
        let assembled = Asm::assembled(|a| {
            let mut out = a.create_label();
            allocated(|a| choose(a, out))(a);
            asm!(a: set_label &mut out; ret;);
        });
        let elf = Elf::parse(&assembled.bytes).unwrap();
        for bind in bind::find(&Code::new(&elf), &BTreeSet::new()) {
            assert_eq!((bind.header, ElfAddr(bind.at.ip())), (Register::RBX, assembled.marks[0]), "{what}");
            found = true;
        }
        found
    };
    assert!(bind("as compiled", |a, out| asm!(a: xor ebx, ebx; cmove rbx, r14; test rbx, rbx; je out;)));
    let not = |what: &str, choose: fn(&mut Asm, CodeLabel)| assert!(!bind(what, choose), "{what}");
    not("not 0 otherwise", |a, out| asm!(a: cmove rbx, r14; test rbx, rbx; je out;));
    not("not tested", |a, out| asm!(a: xor ebx, ebx; cmove rbx, r14; je out;));
    not("another tested", |a, out| asm!(a: xor ebx, ebx; cmove rbx, r14; test rax, rax; je out;));
    not("the other way", |a, out| asm!(a: xor ebx, ebx; cmove rbx, r14; test rbx, rbx; jne out;));
    not("changed since", |a, out| {
        asm!(a: xor ebx, ebx; cmove rbx, r14; mov r14, rdi; test rbx, rbx; je out;);
    });
    not("other flags", |a, out| {
        asm!(a: xor ebx, ebx; cmove rbx, r14; test rbx, rbx; cmp rax, rdi; je out;);
    });
}

/// Loads the address of the one task vtable.
fn makes_a_task(a: &mut Asm) {
    let vtable = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
    a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, Register::RAX, vtable).unwrap()).unwrap();
}

fn lock(a: &mut Asm, list: AsmRegister64) {
    a.lock().cmpxchg(byte_ptr(list), cl).unwrap();
}

/// As it was when all tasks were in one list behind one lock.
#[test]
fn into_one_list() {
    let owned =
        |a: &mut Asm| asm!(a: call rax; mov rbx, rax; mov rax, qword_ptr(r15 + 0x20); mov qword_ptr(rbx + 0x18), rax;);
    check("bind", &["rbx"], |a| {
        makes_a_task(a);
        owned(a);
        asm!(a: xor eax, eax;);
        lock(a, r15);
        asm!(a: mark; call rcx;);
    });
    check("the standard library's lock", &["rbx"], |a| {
        makes_a_task(a);
        owned(a);
        asm!(a: xor eax, eax;);
        a.lock().cmpxchg(dword_ptr(r15), ecx).unwrap();
        asm!(a: mark; call rcx;);
    });
    check("a word of 64 bits is no lock", &[], |a| {
        makes_a_task(a);
        owned(a);
        a.lock().cmpxchg(qword_ptr(r15), rcx).unwrap();
        asm!(a: call rcx;);
    });
    check("no task is made", &[], |a| {
        owned(a);
        lock(a, r15);
        asm!(a: call rcx;);
    });
    check("another's lock", &[], |a| {
        makes_a_task(a);
        owned(a);
        lock(a, r14);
        asm!(a: call rcx;);
    });
    check("no lock", &[], |a| {
        makes_a_task(a);
        owned(a);
        asm!(a: call rcx;);
    });
    check("an owner from elsewhere", &[], |a| {
        makes_a_task(a);
        asm!(a: call rax; mov rbx, rax; mov qword_ptr(rbx + 0x18), rdi;);
        lock(a, r15);
        asm!(a: call rcx;);
    });
}

/// The id is known where the task is made: it says which shard's lock is taken.
#[test]
fn into_a_shard_by_an_id_that_is_known() {
    let made = |a: &mut Asm| {
        makes_a_task(a);
        asm!(a: call rax; mov rbx, rax; mov rax, qword_ptr(r15 + 0x20); mov qword_ptr(rbx + 0x18), rax;);
        asm!(a: mov rcx, qword_ptr(r15 + 0xa8); mov rdx, qword_ptr(r15 + 0xc8); and rdx, r12; lea rdx, qword_ptr(rdx + rdx * 2););
    };
    check("its address first", &["rbx"], |a| {
        made(a);
        asm!(a: lea r14, qword_ptr(rcx + rdx * 8); mov cl, 1; xor eax, eax;);
        lock(a, r14);
        asm!(a: mark; call rcx;);
    });
    check("by base and index", &["rbx"], |a| {
        made(a);
        asm!(a: mov sil, 1; xor eax, eax;);
        a.lock().cmpxchg(byte_ptr(rcx + rdx * 8), sil).unwrap();
        asm!(a: mark; call rcx;);
    });
    check("an array of another owner's", &[], |a| {
        made(a);
        asm!(a: mov rcx, qword_ptr(r14 + 0xa8); xor eax, eax;);
        a.lock().cmpxchg(byte_ptr(rcx + rdx * 8), sil).unwrap();
        asm!(a: call rcx;);
    });
    check("behind the beginning of a shard", &[], |a| {
        made(a);
        asm!(a: lea r14, qword_ptr(rcx + rdx * 8); xor eax, eax;);
        a.lock().cmpxchg(byte_ptr(r14 + 8), cl).unwrap();
        asm!(a: call rcx;);
    });
    check("no task is made", &[], |a| {
        asm!(a: call rax; mov rbx, rax; mov rax, qword_ptr(r15 + 0x20); mov qword_ptr(rbx + 0x18), rax;);
        asm!(a: mov rcx, qword_ptr(r15 + 0xa8););
        a.lock().cmpxchg(byte_ptr(rcx + rdx * 8), sil).unwrap();
        asm!(a: call rcx;);
    });
}

/// No register holds the header any more behind the instruction that reads the id.
#[test]
fn at_the_read_of_the_id() {
    check("into the header's register", &["rbx"], |a| {
        asm!(a: call rax; mov rbx, rax; xor eax, eax; owner rbx; vtable rax, rbx; id_offset rax, rax;);
        asm!(a: mov qword_ptr(rsp + 0x60), rbx; mark; id rbx, rbx, rax; mov rcx, rbx; call rcx;);
    });
    check("the header's register is needed at once", &["rbx"], |a| {
        asm!(a: call rax; mov rbx, rax; xor eax, eax; owner rbx; vtable rax, rbx; id_offset rax, rax;);
        asm!(a: mark; id rcx, rbx, rax; mov rbx, rdx; call rcx;);
    });
    check("the shard's lock is taken behind it", &["rbx"], |a| {
        makes_a_task(a);
        asm!(a: call rax; mov rbx, rax; mov rax, qword_ptr(r15 + 0x20); mov qword_ptr(rbx + 0x18), rax; vtable rax, rbx;);
        asm!(a: id_offset rax, rax; mark; id rbx, rbx, rax; mov rcx, qword_ptr(r15 + 0xa8););
        a.lock().cmpxchg(byte_ptr(rcx + rdx * 8), sil).unwrap();
        asm!(a: mov rcx, rbx; call rcx;);
    });
    check("not where the read is jumped to", &[], |a| {
        let mut read = a.create_label();
        asm!(a: je read; call rax; mov rbx, rax; xor eax, eax; owner rbx; vtable rax, rbx; id_offset rax, rax;);
        asm!(a: set_label &mut read; id rbx, rbx, rax; mov rcx, rbx; call rcx;);
    });
}

#[test]
fn near_misses() {
    let check = |what: &str, write: fn(&mut Asm)| check(what, &[], write);
    check("only the owner", |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; ret;));
    check("only the id", |a| asm!(a: vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; ret;));
    check("another task's owner", |a| asm!(a: owner rdx; vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; ret;));
    check("another task's id", |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; id rcx, rdx, rax; ret;));
    check("another task's vtable", |a| asm!(a: owner rsi; vtable rax, rdx; id_offset rax, rax; id rcx, rsi, rax; ret;));
    check("owner elsewhere", |a| {
        asm!(a: mov qword_ptr(rsi + 0x20), rdi; mov qword_ptr(rdx + 0x18), rdi;);
        asm!(a: vtable rax, rsi; id_offset rax, rax; id rcx, rsi, rax; ret;)
    });
    check(
        "vtable elsewhere",
        |a| asm!(a: owner rsi; mov rax, qword_ptr(rsi + 8); id_offset rax, rax; id rcx, rsi, rax; ret;),
    );
    check("another offset", |a| {
        asm!(a: owner rsi; vtable rax, rsi; id_offset rcx, rax; mov rcx, qword_ptr(rax + 0x40);
            id rcx, rsi, rcx; ret;)
    });
    check(
        "beyond the id",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; mov rcx, qword_ptr(rsi + rax + 8); ret;),
    );
    check(
        "scaled",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; mov rcx, qword_ptr(rsi + rax * 2); ret;),
    );
    check("half an owner", |a| {
        asm!(a: mov dword_ptr(rsi + 0x18), edi; owner rdx; vtable rax, rsi; id_offset rax, rax;
            id rcx, rsi, rax; ret;)
    });
    check(
        "written to the id",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; mov qword_ptr(rsi + rax), rcx; ret;),
    );
    check(
        "overwritten between",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; mov rsi, rdx; id rcx, rsi, rax; ret;),
    );
    check(
        "half of it overwritten between",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; mov esi, edx; id rcx, rsi, rax; ret;),
    );
    check(
        "a call between",
        |a| asm!(a: owner rsi; vtable rax, rsi; id_offset rax, rax; call rdx; id rcx, rsi, rax; ret;),
    );
}

#[test]
fn where_ways_meet() {
    let made = |a: &mut Asm| asm!(a: call rcx; owner rax; vtable rcx, rax; id_offset rcx, rcx;);
    let bind = |a: &mut Asm| {
        made(a);
        asm!(a: id rcx, rax, rcx;);
    };
    check("the place is jumped to", &["rax"], |a| {
        let mut out = a.create_label();
        asm!(a: jne out;);
        made(a);
        asm!(a: mark; id rcx, rax, rcx;);
        asm!(a: set_label &mut out; call rcx; ret;);
    });
    check("what is before the place is jumped to", &["rax"], |a| {
        let mut out = a.create_label();
        asm!(a: jne out;);
        made(a);
        asm!(a: mark; id rcx, rax, rcx;);
        asm!(a: set_label &mut out; mov rdx, rcx; call rcx; ret;);
    });
    check("what is behind it is jumped to", &["rax"], |a| {
        let mut out = a.create_label();
        asm!(a: jne out;);
        bind(a);
        asm!(a: mark; call rcx; set_label &mut out; ret;);
    });
    check("an entry runs once for its bind", &["entry"], |a| {
        let mut out = a.create_label();
        asm!(a: owner rsi; vtable rcx, rsi; id_offset rcx, rcx; id rcx, rsi, rcx;);
        asm!(a: set_label &mut out; mark; jne out; ret;);
    });
}
