//! Task types whose spawns no hook sees: each function that makes a task loads its vtable's address, and has a hook or
//! calls a function that has one, or leaves that to all that call it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    plan::{Placement, Program},
    sites::{self, Callers},
};
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        code::{Code, Target},
        queue,
    },
    image::elf::Elf,
};

/// Callers are asked this many times: where nothing is inlined, a vtable is loaded some calls below the bind.
const LEVELS_MAX: u8 = 8;

/// Those of these vtables that are loaded where no hook sees what is made.
pub(crate) fn unseen(code: &Code<'_, '_>, placements: &[Placement], vtables: &BTreeSet<ElfAddr>) -> BTreeSet<ElfAddr> {
    let spawns = placements.iter().filter(|placement| placement.program == Program::Spawn);
    let hooked: BTreeSet<ElfAddr> = spawns.filter_map(|spawn| function_of(code.elf, spawn.address)).collect();
    let loads = sites::loads(code, vtables);
    let mut search = SpawnSearch { code, hooked, callers: None, known: BTreeMap::new() };
    loads.into_iter().filter(|&(function, _)| !search.sees(function, 0)).map(|(_, vtable)| vtable).collect()
}

fn function_of(elf: &Elf<'_>, address: ElfAddr) -> Option<ElfAddr> {
    let after = elf.functions().partition_point(|function| function.start <= address);
    let function = elf.functions().get(after.checked_sub(1)?)?;
    (address.0 - function.start.0 < function.len).then_some(function.start)
}

struct SpawnSearch<'a, 'e, 'data> {
    code: &'a Code<'e, 'data>,
    hooked: BTreeSet<ElfAddr>,
    callers: Option<Callers>,
    known: BTreeMap<ElfAddr, bool>,
}

impl SpawnSearch<'_, '_, '_> {
    /// Returns `true` if what this function makes passes a hook.
    fn sees(&mut self, function: ElfAddr, level: u8) -> bool {
        if let Some(&known) = self.known.get(&function) {
            return known;
        }
        // Functions that call each other in a circle are not taken to pass one.
        self.known.insert(function, false);
        let sees = self.hooked.contains(&function) || self.calls_one(function) || self.all_callers_see(function, level);
        self.known.insert(function, sees);
        sees
    }

    /// Returns `true` if it calls a function with a hook, or one that hands a task on to such a function.
    fn calls_one(&self, function: ElfAddr) -> bool {
        let Some(body) = self.code.body(function) else { return false };
        let targets = body.instructions.iter().map(|instruction| self.code.target(instruction));
        let called: BTreeSet<ElfAddr> =
            targets.filter_map(|target| if let Target::Known(to) = target { Some(to) } else { None }).collect();
        let hands_on = |to: &ElfAddr| !queue::leads_to(self.code, *to).is_disjoint(&self.hooked);
        !called.is_disjoint(&self.hooked) || called.iter().any(hands_on)
    }

    fn all_callers_see(&mut self, function: ElfAddr, level: u8) -> bool {
        if level == LEVELS_MAX {
            return false;
        }
        let code = self.code;
        let callers = self.callers.get_or_insert_with(|| Callers::new(code.elf)).of(code, function);
        !callers.is_empty() && callers.into_iter().all(|caller| self.sees(caller, level + 1))
    }
}
