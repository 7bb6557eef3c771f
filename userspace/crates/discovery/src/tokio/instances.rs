//! Several tokios in one executable: of two versions, or one that came in with a library built by itself.
//!
//! Each counts its tasks' ids by itself, so that two tasks may have the same one at the same time. Only one
//! tokio is watched then. Which task types are whose is told by the waker vtable that their poll functions load.

use std::collections::{BTreeMap, BTreeSet};

use super::{flows::Flows, symbols::Symbols, version, vtables::Vtable};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        FIRST,
        code::Code,
        flow,
        waker::{self, WakerVtable},
    },
    image::elf::Elf,
};
use asyncscope_trace::facts::MissingReason;

/// The task vtables of the tokio with the most task types, and what is missing of the others, if there are any.
pub(super) fn of_one(
    code: &Code<'_, '_>,
    symbols: &Symbols,
    polls: &Flows,
    vtables: Vec<Vtable>,
) -> (Vec<Vtable>, Option<MissingReason>) {
    if is_sure_to_be_one(code.elf, symbols) {
        return (vtables, None);
    }
    let loaded: Vec<BTreeSet<ElfAddr>> =
        vtables.iter().map(|vtable| wakers(code, symbols, polls, vtable.poll)).collect();
    let Some(most) = most_loaded(&loaded) else { return (vtables, None) };
    let is_other = |wakers: &BTreeSet<ElfAddr>| !wakers.is_empty() && !wakers.contains(&most);
    let others = loaded.iter().filter(|wakers| is_other(wakers)).count();
    if others == 0 {
        return (vtables, None);
    }
    let all = vtables.len();
    let of = vtables.into_iter().zip(loaded).filter(|(_, wakers)| wakers.contains(&most));
    let watched: Vec<Vtable> = of.map(|(vtable, _)| vtable).collect();
    let mut versions = version::all(code.elf);
    if versions.len() < 2 {
        versions.clear();
    }
    let why = MissingReason::SeveralTokios { versions, watched: watched.len(), others, all };
    (watched, Some(why))
}

/// The tokios that may be in it and are too old to be seen, where it mentions several.
pub(super) fn too_old(elf: &Elf<'_>) -> Option<MissingReason> {
    let versions = version::all(elf);
    let is_old = |version: &&String| {
        let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
        (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(u32::MAX)) < (1, 28)
    };
    let old: Vec<String> = versions.iter().filter(is_old).cloned().collect();
    let some = !old.is_empty() && old.len() < versions.len();
    some.then_some(MissingReason::TooOldTokios { versions: old })
}

/// Returns `true` if there is one for sure: by its symbols; without these, by the versions whose sources it names.
fn is_sure_to_be_one(elf: &Elf<'_>, symbols: &Symbols) -> bool {
    match symbols.ending(&["::task::waker::wake_by_val"]).len() {
        0 => version::find(elf).is_some(),
        count => count == 1,
    }
}

/// The vtables of tokio's wakers that the poll function loads: their functions change a task's state.
fn wakers(code: &Code<'_, '_>, symbols: &Symbols, polls: &Flows, poll: ElfAddr) -> BTreeSet<ElfAddr> {
    let by_symbol = symbols.ending(&["::task::waker::wake_by_val"]);
    let exchanges = |function| !flow::follow(code, function, FIRST).exchanges.is_empty();
    let is_tokios = |waker: &WakerVtable| {
        by_symbol.contains(&waker.wake_by_val) || (exchanges(waker.wake_by_val) && exchanges(waker.wake_by_ref))
    };
    let mentioned = polls.0.get(&poll).map(|flow| flow.mentioned.as_slice()).unwrap_or_default();
    let found = mentioned.iter().filter_map(|&address| waker::at(code.elf, address)).filter(is_tokios);
    found.map(|waker| waker.address).collect()
}

/// The first of them, where several are loaded as often.
fn most_loaded(loaded: &[BTreeSet<ElfAddr>]) -> Option<ElfAddr> {
    let mut counts: BTreeMap<ElfAddr, usize> = BTreeMap::new();
    loaded.iter().flatten().for_each(|&waker| *counts.entry(waker).or_default() += 1);
    counts.into_iter().rev().max_by_key(|&(_, count)| count).map(|(waker, _)| waker)
}
