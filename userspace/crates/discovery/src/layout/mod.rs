//! The layouts of futures, compiled from debug info with types into a [`Program`].
//!
//! Nothing is assumed about a layout: every offset, size and discriminant comes from debug info, and what
//! it does not describe is not followed. The only thing known of tokio beforehand are names.

mod compile;
mod dies;
mod find;
#[cfg(test)]
mod handmade;
mod holds;
mod names;
mod prune;
mod rules;
mod runtime;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    image::{
        debug::{sections, units::Units},
        elf::Elf,
    },
    tokio::vtables::Vtable,
};
use asyncscope_trace::{chain::Program, facts::NoLayouts};
pub(crate) use rules::leaf_named;
pub use runtime::{Kinds, Owned, Pick, Shards};

/// The facts that debug info has about a target's futures. Addresses are the file's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layouts {
    /// The program that walks them.
    pub program: Program,
    /// The place that runtimes keep their tasks in, if that is known.
    pub owned: Option<Owned>,
}

/// Compiles the layouts of the futures of these task types.
///
/// # Errors
///
/// There is no type information.
pub fn compile(elf: &Elf<'_>, vtables: &[Vtable]) -> Result<Layouts, NoLayouts> {
    let sections = sections::load(elf.debug_data()).ok_or(NoLayouts::NoTypes)?;
    let dwarf = sections.borrow(|data| sections::slice(data));
    let layouts = of_dwarf(&dwarf, vtables);
    if layouts.program.tasks.is_empty() { Err(NoLayouts::NoTypes) } else { Ok(layouts) }
}

/// Compiles what this debug info says about the futures of these task types.
#[must_use]
pub fn of_dwarf(dwarf: &gimli::Dwarf<gimli::EndianSlice<'_, gimli::LittleEndian>>, vtables: &[Vtable]) -> Layouts {
    let dies = dies::Dies::new(Units::new(dwarf));
    let polls: BTreeSet<u64> = vtables.iter().map(|vtable| vtable.poll.0).collect();
    let index = scan::Index::new(&dies, &polls);
    compile::Compiler::new(&dies, &index).compile(vtables)
}
