//! Thread-local memory, read from outside without stopping a thread.
//!
//! On x86-64 the word at `%fs:0` holds its own address, and the executable's thread-local variables lie
//! right below it, each at one distance in every thread.
//! <https://gitlab.com/x86-psABIs/x86-64-ABI> (chapter 6), <https://www.akkadia.org/drepper/tls.pdf> (3.4.6)
//!
//! Where a thread's `%fs` points is in no file under `/proc`. But the thread's descriptor begins there, and
//! holds the thread's id: a word that holds its own address, with the id of just one thread behind it, is
//! taken for it. A wrong one yields words in which no task's id is found.

use std::collections::{BTreeMap, BTreeSet};

use super::{Process, procfs};
use crate::addr::RuntimeAddr;

/// A thread's descriptor lies this near to the end of its mapping, which begins with the stack.
const NEAR_END: u64 = 64 << 10;
/// And its id this near to the descriptor's start.
const ID_WITHIN: usize = 0x800;
/// More mappings than this are not looked at: the last, where threads' stacks lie.
const MAPPINGS_MAX: usize = 256;
/// More words of one mapping that hold their own address are not looked at: a thread has a few.
const OWN_MAX: usize = 64;
const WORD: usize = 8;

/// The address `%fs` of each thread points at, as far as that can be told.
#[must_use]
pub fn bases(process: &Process) -> BTreeMap<u32, u64> {
    let threads: BTreeMap<u32, u32> =
        process.threads().into_iter().filter_map(|(tid, _)| Some((own_id(process.pid, tid)?, tid))).collect();
    let mut found: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for (start, end) in writable(process.pid) {
        let from = start.max(end.saturating_sub(NEAR_END));
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(0)];
        let len = process.read_memory(RuntimeAddr(from), &mut bytes);
        for (base, own) in descriptors(bytes.get(..len).unwrap_or_default(), from, &threads) {
            found.entry(own).or_default().insert(base);
        }
    }
    let only = |bases: BTreeSet<u64>| if bases.len() == 1 { bases.into_iter().next() } else { None };
    found.into_iter().filter_map(|(own, bases)| Some((*threads.get(&own)?, only(bases)?))).collect()
}

/// Words that hold their own address, and the one of these ids that stands behind each.
fn descriptors(bytes: &[u8], from: u64, ids: &BTreeMap<u32, u32>) -> Vec<(u64, u32)> {
    let words = bytes.chunks_exact(WORD).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    let own = (0..).zip(words).filter(|&(at, word): &(usize, u64)| word != 0 && word == from + (at * WORD) as u64);
    let found = own.take(OWN_MAX).filter_map(|(at, base)| {
        let behind = bytes.get(at * WORD..)?;
        let halves = behind.chunks_exact(4).take(ID_WITHIN / 4);
        let known: BTreeSet<u32> = halves
            .filter_map(|half| half.try_into().ok().map(u32::from_le_bytes))
            .filter(|id| ids.contains_key(id))
            .collect();
        (known.len() == 1).then(|| Some((base, *known.first()?)))?
    });
    found.collect()
}

/// The thread's id as it knows it itself, in its own namespace.
fn own_id(pid: u32, tid: u32) -> Option<u32> {
    procfs::status(pid, tid).ok()?.innermost_id
}

/// Private memory of no file that may be read and written.
fn writable(pid: u32) -> Vec<(u64, u64)> {
    let mappings = procfs::maps(pid).into_iter().rev();
    // Stacks are not executable.
    let writable = mappings.filter(|mapping| mapping.is_anonymous_data() && mapping.is_private() && !mapping.is_code());
    writable.take(MAPPINGS_MAX).map(|mapping| (mapping.range.start, mapping.range.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn knows_descriptors() {
        let check = |words: &[u64], expected: &[(u64, u32)]| {
            let ids = [(7, 7), (8, 8)].into();
            assert_eq!(descriptors(&bytes(words), 0x1000, &ids), expected, "{words:x?}");
        };
        check(&[0x1000, 0, 7], &[(0x1000, 7)]);
        check(&[5, 0x1008, 8 << 32], &[(0x1008, 8)]);
        check(&[0x1008, 0, 7], &[]);
        check(&[0x1000, 0, 9], &[]);
        check(&[0x1000, 7, 8], &[]); // of two threads
        check(&[0x1000, 7, 7], &[(0x1000, 7)]);
        check(&[0, 0, 7], &[]);
    }

    #[test]
    fn finds_this_threads_own() {
        let own: u64;
        // SAFETY: reads the word at %fs:0, which every thread has.
        unsafe { std::arch::asm!("mov {}, fs:0", out(reg) own, options(nostack, readonly)) };
        let process = Process::by_pid(std::process::id()).unwrap();
        let tid = nix::unistd::gettid().as_raw().cast_unsigned();
        assert_eq!(bases(&process).get(&tid), Some(&own));
    }
}
