//! Where threads have their variables of their own, found from outside without stopping them.
//!
//! On x86-64 a thread's block of such variables ends at its thread pointer, and the first word there points to
//! itself. <https://www.akkadia.org/drepper/tls.pdf>, variant II.

use std::collections::BTreeSet;

use asyncscope_discovery::{addr::RuntimeAddr, process::Process, threads};

/// Thread pointers stand near the end of a thread's stack, or in a small mapping of the loader's.
const NEAR_END: u64 = 64 << 10;
/// No more mappings than this are looked at.
const MAPPINGS_MAX: usize = 1 << 16;

/// No more addresses than this are looked at.
const POINTERS_MAX: usize = 1 << 16;

/// Addresses that may be thread pointers. What is read by them has to prove itself.
pub(super) fn pointers(process: &Process) -> BTreeSet<u64> {
    let maps = threads::maps(process.pid);
    let writable = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next()?, words.next()?);
        let (start, end) = range.split_once('-')?;
        let anonymous = words.nth(2) == Some("0");
        let range = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        (anonymous && rights.starts_with("rw")).then_some(range)
    };
    let mappings = maps.lines().filter_map(writable).take(MAPPINGS_MAX);
    let found = mappings.flat_map(|(start, end)| in_mapping(process, start.max(end.saturating_sub(NEAR_END)), end));
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
