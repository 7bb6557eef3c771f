//! The source files that a function was made from: panics say where they are, by a `Location`.
//! <https://github.com/rust-lang/rust/blob/1.95.0/library/core/src/panic/location.rs#L43-L56>

use std::collections::BTreeSet;
use std::path::Path;

use super::code::{Body, Code, loaded_address};

/// A longer path is none.
const LEN_MAX: u64 = 4096;

/// The paths in the locations that the function refers to.
#[must_use]
pub(super) fn of<'data>(code: &Code<'_, 'data>, body: &Body) -> BTreeSet<&'data str> {
    let loaded = body.instructions.iter().filter_map(|instruction| loaded_address(code.elf, instruction));
    loaded.filter_map(|location| path(code, location)).collect()
}

/// The path of a location: its address, then its length.
fn path<'data>(code: &Code<'_, 'data>, location: crate::addr::ElfAddr) -> Option<&'data str> {
    let text = code.elf.pointer(location)?;
    let len = code.elf.word(location.plus(8)).filter(|&len| len <= LEN_MAX)?;
    let text = std::str::from_utf8(code.elf.bytes(text, len)).ok().filter(|text| text.len() as u64 == len)?;
    Path::new(text).extension().is_some_and(|extension| extension == "rs").then_some(text)
}
