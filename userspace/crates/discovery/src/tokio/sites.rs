//! Names for task types that no symbol names: the functions that spawn them.
//!
//! A task is made where its vtable's address is loaded. Where that is the library's own code, those
//! that call it are asked, until one is the program's.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    addr::ElfAddr,
    code::x86_64::code::{Code, Target, loaded_address},
    image::elf::{Elf, ElfFunction},
    names::{self, demangled},
};

/// Callers are looked for this many times.
const LEVELS_MAX: u8 = 32;
/// A function with more callers, or a vtable with more places, tells nothing of a task.
const SITES_MAX: usize = 16;
/// No more callers than this are looked at.
pub(super) const CALLERS_MAX: usize = 256;
/// No more sites than this are named.
const NAMED_MAX: usize = 4;

/// The functions that spawn the tasks, such as `svc::accept_loop`, by vtable, where the symbols tell.
pub(super) fn names(code: &Code<'_, '_>, vtables: &BTreeSet<ElfAddr>) -> BTreeMap<ElfAddr, String> {
    if vtables.is_empty() || code.elf.symbols().is_empty() {
        return BTreeMap::new();
    }
    let mut sites: BTreeMap<ElfAddr, BTreeSet<ElfAddr>> = BTreeMap::new();
    for (function, vtable) in loads(code, vtables) {
        sites.entry(vtable).or_default().insert(function);
    }
    let callers = Callers::new(code.elf);
    for _ in 0..LEVELS_MAX {
        sites.retain(|_, functions| functions.len() <= SITES_MAX);
        let open: BTreeSet<ElfAddr> =
            sites.values().flatten().copied().filter(|&function| programs_own(code.elf, function).is_none()).collect();
        if open.is_empty() {
            break;
        }
        for functions in sites.values_mut() {
            for function in functions.intersection(&open).copied().collect::<Vec<_>>() {
                functions.remove(&function);
                functions.extend(callers.of(code, function));
            }
        }
    }
    sites.into_iter().filter_map(|(vtable, functions)| Some((vtable, named(code.elf, &functions)?))).collect()
}

fn named(elf: &Elf<'_>, functions: &BTreeSet<ElfAddr>) -> Option<String> {
    let names: Option<BTreeSet<String>> = functions.iter().map(|&function| programs_own(elf, function)).collect();
    let names = names.filter(|names| (1..=NAMED_MAX).contains(&names.len()))?;
    Some(names.into_iter().collect::<Vec<_>>().join(" | "))
}

/// The function's name, if it is not a library's.
fn programs_own(elf: &Elf<'_>, function: ElfAddr) -> Option<String> {
    let names = elf.symbols_at(function).iter().map(|symbol| demangled(symbol.name));
    let is_own = |name: &String| {
        let path = name.trim_start_matches('<');
        !["tokio::", "std::", "core::", "alloc::"].iter().any(|library| path.starts_with(library))
            && name.contains("::")
    };
    names.filter(is_own).map(|name| names::future(&name).0).min()
}

/// The functions that load some of these addresses, each with the address it loads.
pub(super) fn loads(code: &Code<'_, '_>, of: &BTreeSet<ElfAddr>) -> Vec<(ElfAddr, ElfAddr)> {
    let functions = code.elf.functions().iter().filter(|function| may_load(code.elf, function, of));
    let bodies = functions.filter_map(|function| code.glance(function));
    let found = bodies.flat_map(|body| {
        let loaded = body.instructions.iter().filter_map(|instruction| loaded_address(code.elf, instruction));
        loaded.filter(|address| of.contains(address)).map(|address| (body.function.start, address)).collect::<Vec<_>>()
    });
    found.collect()
}

/// A cheap look before decoding: four bytes that are the distance to one of the addresses, or, at fixed
/// addresses, the address itself.
fn may_load(elf: &Elf<'_>, function: &ElfFunction, of: &BTreeSet<ElfAddr>) -> bool {
    let (Some(first), Some(last)) = (of.first(), of.last()) else { return false };
    words(elf, function).any(|(after, word)| {
        let near = ElfAddr(after.wrapping_add_signed(word.into()));
        let fixed = ElfAddr(u64::from(word.cast_unsigned()));
        [near, fixed].iter().any(|address| (first..=last).contains(&address) && of.contains(address))
    })
}

/// Every four bytes of a function after its first, and the address after them.
fn words(elf: &Elf<'_>, function: &ElfFunction) -> impl Iterator<Item = (u64, i32)> {
    let bytes = elf.bytes(function.start, function.len).windows(4).skip(1);
    let read = bytes.map(|window| window.try_into().map_or(0, i32::from_le_bytes));
    let start = function.start.0;
    (5..).zip(read).map(move |(after, word)| (start.wrapping_add(after), word))
}

/// The functions that bytes which look like a call or jump lead to: a conditional jump as well, or one through an entry
/// of the GOT. The bytes before the distance tell.
fn called<'e>(elf: &'e Elf<'_>, function: &ElfFunction) -> impl Iterator<Item = ElfFunction> + 'e {
    let bytes = elf.bytes(function.start, function.len);
    let start = function.start.0;
    let opcodes = bytes.iter().enumerate().filter(|(_, byte)| OPCODES[usize::from(**byte)]);
    opcodes.filter_map(move |(at, &opcode)| {
        let word = i32::from_le_bytes(*bytes.get(at + 1..)?.first_chunk()?);
        let place = ElfAddr(start.wrapping_add(at as u64 + 5).wrapping_add_signed(word.into()));
        let before = at.checked_sub(1).map(|before| bytes[before]);
        match (before, opcode) {
            (_, 0xe8 | 0xe9) | (Some(0x0f), 0x80..=0x8f) => elf.function_at(place),
            (Some(0xff), 0x15 | 0x25) => elf.function_at(elf.pointer(place)?),
            _ => None,
        }
    })
}

/// The last bytes of opcodes before a distance.
static OPCODES: [bool; 256] = {
    let mut opcodes = [false; 256];
    let mut at = 0x80;
    while at < 0x90 {
        opcodes[at] = true;
        at += 1;
    }
    opcodes[0xe8] = true;
    opcodes[0xe9] = true;
    opcodes[0x15] = true;
    opcodes[0x25] = true;
    opcodes
};

/// Functions that may call others: bytes that look like a call are not decoded before they are asked for.
pub(super) struct Callers(Vec<(ElfAddr, ElfAddr)>);

impl Callers {
    pub(super) fn new(elf: &Elf<'_>) -> Self {
        let mut callers = Vec::new();
        for function in elf.functions() {
            let called = called(elf, function).map(|called| (called.start, function.start));
            callers.extend(called);
        }
        callers.sort_unstable();
        callers.dedup();
        Self(callers)
    }

    /// The functions that call this one, or jump to it.
    pub(super) fn of(&self, code: &Code<'_, '_>, function: ElfAddr) -> BTreeSet<ElfAddr> {
        let from = self.0.partition_point(|&(called, _)| called < function);
        let callers = self.0[from..].iter().take_while(|&&(called, _)| called == function).map(|&(_, caller)| caller);
        let calls = |caller: &ElfAddr| {
            let body = code.body(*caller);
            body.is_some_and(|body| body.instructions.iter().any(|i| code.target(i) == Target::Known(function)))
        };
        callers.take(CALLERS_MAX).filter(calls).collect()
    }
}
