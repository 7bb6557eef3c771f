//! Functions found by recursive descent: in code written for it, and in the test executable, against its unwind tables.

use std::collections::BTreeSet;

use iced_x86::{Code as Opcode, Decoder, DecoderOptions, Instruction, MemoryOperand, Register, code_asm::*};

use super::{
    asm::{Asm, asm},
    image::{DATA, Symbol, Word},
    own::OWN,
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{code::Code, descent},
    image::elf::Elf,
    tokio::vtables,
};

/// From the first function on, the code that is reached is all but what lies between pairs of marks.
fn check(what: &str, write: impl FnOnce(&mut Asm)) {
    let assembled = Asm::assembled(write);
    let elf = Elf::parse(&assembled.bytes).unwrap();
    let found = descent::find(&elf, [assembled.functions[0]]);
    let reached: BTreeSet<u64> = found.runs.iter().flat_map(|&(start, len)| start.0..start.0 + len).collect();
    let (_, code) = elf.executable().find(|(start, _)| *start <= assembled.functions[0]).unwrap();
    let first = assembled.functions[0].0;
    let left_out: BTreeSet<u64> = assembled.marks.chunks(2).flat_map(|pair| pair[0].0..pair[1].0).collect();
    let all: BTreeSet<u64> = (first..first + code.len() as u64).collect();
    assert_eq!(reached, all.difference(&left_out).copied().collect(), "{what}: {found:x?}");
    // The functions are those that are written, but for those that nothing leads to.
    let starts: Vec<ElfAddr> = found.functions.iter().map(|function| function.start).collect();
    let written: Vec<ElfAddr> = assembled.functions.into_iter().filter(|start| !left_out.contains(&start.0)).collect();
    assert_eq!(starts, written, "{what}");
}

#[test]
fn code_is_followed_along_jumps_and_calls() {
    check("what nothing leads to is not decoded", |a| {
        let mut on = a.create_label();
        asm!(a: test rdi, rdi; je on; ret; mark; nop; int3; mark; set_label &mut on; ret;);
    });
    check("a function that is called", |a| {
        let (mut called, mut other) = (a.create_label(), a.create_label());
        asm!(a: call called; ret; mark; function &mut other; ret; mark; function &mut called; nop; ret;);
    });
    check("through the GOT", |a| {
        let mut called = a.create_label();
        asm!(a: call_got 1; ret; function &mut called; ret;);
    });
    check("a function that is only jumped to", |a| {
        let (mut called, mut tail) = (a.create_label(), a.create_label());
        asm!(a: call called; jmp tail; function &mut called; ret; function &mut tail; ret;);
    });
}

#[test]
fn code_behind_a_call_counts_where_it_returns() {
    check("into a loop without an end", |a| {
        let (mut called, mut again) = (a.create_label(), a.create_label());
        asm!(a: test rdi, rdi; call called; mark; nop; mark;
            function &mut called; nop; set_label &mut again; jmp again;);
    });
    check("what ends in a call that does not return", |a| {
        let (mut called, mut last) = (a.create_label(), a.create_label());
        asm!(a: call called; mark; ret; mark; function &mut called; call last; mark; ret; mark; function &mut last; ud2;);
    });
    check("what jumps on to one that returns", |a| {
        let (mut called, mut last) = (a.create_label(), a.create_label());
        asm!(a: call called; ret; function &mut last; ret; function &mut called; jmp last;);
    });
    let calls_import = |a: &mut Asm, name: &str| {
        a.image.symbols.push(Symbol { name: name.to_owned(), address: 0, defined: false });
        a.image.data.push(Word::Plain(0));
        a.image.relocations.push((DATA, object::elf::R_X86_64_GLOB_DAT.0, 1, 0));
        let pointer = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
        a.add_instruction(Instruction::with1(Opcode::Call_rm64, pointer).unwrap()).unwrap();
    };
    check("another file's that never returns", |a| {
        let mut called = a.create_label();
        asm!(a: call called; mark; ret; mark; function &mut called;);
        calls_import(a, "abort");
        asm!(a: mark; nop; ret; mark;);
    });
    check("another file's that may return", |a| {
        let mut called = a.create_label();
        asm!(a: call called; ret; function &mut called;);
        calls_import(a, "abort_later");
        asm!(a: nop; ret;);
    });
    check("itself", |a| {
        let (mut called, mut done) = (a.create_label(), a.create_label());
        asm!(a: call called; ret;
            function &mut called; push rbx; test rdi, rdi; je done; call called; set_label &mut done; pop rbx; ret;);
    });
}

/// A jump through a table whose cases lie that far behind the table's jump.
fn through_table(a: &mut Asm, cases: [u64; 2]) {
    let distance = |case: u64| case.wrapping_sub(DATA) & 0xffff_ffff;
    a.image.data.push(Word::Plain(distance(cases[1]) << 32 | distance(cases[0])));
    let table = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
    a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, Register::RCX, table).unwrap()).unwrap();
    asm!(a: movsxd rax, dword_ptr(rcx + rax * 4); add rax, rcx; jmp rax;);
}

#[test]
fn cases_of_a_table_count_where_the_code_before_leads_there_as_well() {
    // `lea`, `movslq`, `add` and `jmp` take 16 bytes.
    let behind = super::image::CODE + 16;
    check("both", |a| {
        through_table(a, [behind, behind + 3]);
        asm!(a: xor eax, eax; ret; xor edx, edx; ret;);
    });
    check("not one that begins within an instruction", |a| {
        through_table(a, [behind, behind + 4]);
        asm!(a: xor eax, eax; ret; mark; xor edx, edx; ret; mark;);
    });
    check("not one that leaves the function", |a| {
        let mut called = a.create_label();
        through_table(a, [behind, behind + 9]);
        asm!(a: call called; ret; mark; nop; nop; mark; function &mut called; ret; mark; nop; ret; mark;);
    });
}

/// The shape of a trait's vtable, loaded.
#[test]
fn the_slots_of_vtables_are_starts() {
    check("methods", |a| {
        let mut method = a.create_label();
        a.image.data.extend([Word::Plain(0), Word::Plain(24), Word::Plain(8), Word::Function(1)]);
        let table = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
        a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, Register::RCX, table).unwrap()).unwrap();
        asm!(a: ret; function &mut method; ret;);
    });
    check("not an alignment", |a| {
        let mut method = a.create_label();
        a.image.data.extend([Word::Plain(0), Word::Plain(24), Word::Plain(7), Word::Function(1)]);
        let table = MemoryOperand::new(Register::RIP, Register::None, 1, DATA as i64, 8, false, Register::None);
        a.add_instruction(Instruction::with2(Opcode::Lea_r64_m, Register::RCX, table).unwrap()).unwrap();
        asm!(a: ret; mark; function &mut method; ret; mark;);
    });
}

#[test]
fn instructions_start_where_unwind_tables_say() {
    let elf = Elf::parse(&OWN.file).unwrap();
    let starts: Vec<ElfAddr> = OWN.plan.vtables.iter().flat_map(|vtable| vtable.functions(&elf)).collect();
    assert_eq!(vtables::scan_shapes(&elf), OWN.plan.vtables);
    let found = descent::find(&elf, starts);
    let code = Code::new(&elf);
    let mut held = 0;
    for &(start, len) in &found.runs {
        for instruction in &mut Decoder::with_ip(64, elf.bytes(start, len), start.0, DecoderOptions::NONE) {
            let before = elf.functions().partition_point(|function| function.start.0 <= instruction.ip());
            let Some(body) = before.checked_sub(1).and_then(|place| code.body(elf.functions()[place].start)) else {
                continue;
            };
            if body.contains(instruction.ip()) {
                assert!(body.index_of(instruction.ip()).is_some(), "{:#x} lies in an instruction", instruction.ip());
                held += 1;
            }
        }
    }
    assert!(held > 5000, "only {held} instructions were held against the tables");
    let in_tables: Vec<_> = found.functions.iter().filter(|found| elf.function_at(found.start).is_some()).collect();
    let beyond = |found: &&&crate::image::elf::ElfFunction| {
        elf.function_at(found.start).is_some_and(|stated| found.len > stated.len)
    };
    let beyond = in_tables.iter().filter(beyond).count();
    let all = found.functions.len();
    assert!(in_tables.len() * 100 >= all * 95 && beyond * 100 <= all, "{beyond} of {} of {all}", in_tables.len());
}
