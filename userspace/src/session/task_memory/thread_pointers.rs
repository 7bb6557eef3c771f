//! Where threads have their variables of their own, found from outside without stopping them.
//!
//! On x86-64 a thread's block of such variables ends at its thread pointer, and the first word there points to
//! itself. <https://www.akkadia.org/drepper/tls.pdf>, variant II.

use std::{collections::BTreeSet, ops::Range};

use asyncscope_discovery::{
    addr::RuntimeAddr,
    process::{Process, procfs},
};

/// Thread pointers stand near the end of a thread's stack, or in a small mapping of the loader's.
const NEAR_END: u64 = 64 << 10;
/// No more mappings than this are looked at.
const MAPPINGS_MAX: usize = 1 << 16;

/// No more addresses than this are looked at.
const POINTERS_MAX: usize = 1 << 16;

/// Addresses that may be thread pointers. What is read by them has to prove itself.
pub(super) fn pointers(process: &Process) -> BTreeSet<u64> {
    let mappings = procfs::maps(process.pid).into_iter().filter(procfs::Mapping::is_anonymous_data).take(MAPPINGS_MAX);
    let found = mappings.flat_map(|mapping| {
        let Range { start, end } = mapping.range;
        in_mapping(process, start.max(end.saturating_sub(NEAR_END)), end)
    });
    found.take(POINTERS_MAX).collect()
}

fn in_mapping(process: &Process, start: u64, end: u64) -> Vec<u64> {
    let Ok(len) = usize::try_from(end.saturating_sub(start)) else { return Vec::new() };
    let mut bytes = vec![0; len];
    let read = process.read_memory(RuntimeAddr(start), &mut bytes);
    bytes.truncate(read);
    let words = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
    let places = (start..).step_by(8).zip(words);
    places.filter(|&(place, word)| place == word).map(|(place, _)| place).collect()
}
