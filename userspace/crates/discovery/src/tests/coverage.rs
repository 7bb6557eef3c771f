//! Whether what loads a task vtable passes a hook on spawns.

use std::collections::BTreeSet;

use iced_x86::{Code as Opcode, Instruction, MemoryOperand, Register, code_asm::*};

use super::{
    asm::{Asm, asm},
    image::DATA,
};
use crate::{
    addr::{ElfAddr, FileOffset},
    code::x86_64::code::Code,
    image::elf::Elf,
    tokio::{
        coverage,
        plan::{Placement, Program},
    },
};

/// Loads the address of the one task vtable.
fn load(a: &mut Asm) {
    let vtable = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
    a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, Register::RAX, vtable).unwrap()).unwrap();
}

/// The hook is at the mark.
fn check(what: &str, seen: bool, write: impl FnOnce(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let hook = |&address: &ElfAddr| Placement {
        program: Program::Spawn,
        address,
        offset: FileOffset(0),
        bytes: Vec::new(),
        cookie: 0,
    };
    let placements: Vec<Placement> = assembled.marks.iter().map(hook).collect();
    let unseen = coverage::unseen(&Code::new(&elf), &placements, &BTreeSet::from([ElfAddr(DATA)]));
    assert_eq!(unseen.is_empty(), seen, "{what}");
}

#[test]
fn what_makes_a_task_passes_a_hook() {
    check("its own", true, |a| {
        load(a);
        asm!(a: mark; ret;);
    });
    check("that of a function it calls", true, |a| {
        let mut bind = a.create_label();
        load(a);
        asm!(a: call bind; ret; function &mut bind; nop; mark; ret;);
    });
    check("that of one that its task is handed on to", true, |a| {
        let (mut bind, mut inner) = (a.create_label(), a.create_label());
        load(a);
        asm!(a: call bind; ret; function &mut bind; call inner; ret; function &mut inner; nop; mark; ret;);
    });
    check("not where something else is handed on", false, |a| {
        let (mut bind, mut inner) = (a.create_label(), a.create_label());
        load(a);
        asm!(a: call bind; ret; function &mut bind; xor esi, esi; call inner; ret;
            function &mut inner; nop; mark; ret;);
    });
    check("none", false, |a| {
        let mut other = a.create_label();
        load(a);
        asm!(a: ret; function &mut other; mark; ret;);
    });
}

#[test]
fn what_is_made_for_others_passes_theirs() {
    check("the one that calls it", true, |a| {
        let mut caller = a.create_label();
        let mut make = a.create_label();
        a.set_label(&mut make).unwrap();
        load(a);
        asm!(a: ret; function &mut caller; call make; mark; ret;);
    });
    check("not all that call it", false, |a| {
        let (mut make, mut caller, mut other) = (a.create_label(), a.create_label(), a.create_label());
        a.set_label(&mut make).unwrap();
        load(a);
        asm!(a: ret; function &mut caller; call make; mark; ret; function &mut other; call make; ret;);
    });
}
