//! Where tokio keeps the id of the running task in thread-local memory: found by looking. While a task is
//! polled on a thread, and nothing else inside of that poll, its id stands there.
//!
//! The agent reads the memory at moments of its own choice, without stopping a thread, and learns only
//! later, from the events, what was polled then. In the first and last instructions of a poll the id is
//! not there, so the place is the one that has it most of the time: other words have it by chance.

mod search;

use std::collections::BTreeMap;

use crate::session::clock::monotonic_ns;
use asyncscope_discovery::{
    addr::RuntimeAddr,
    process::{Process, thread_pointers},
};
use asyncscope_trace::{event::Event, facts::CurrentTask};
use search::{Look, TlsSearch};

/// Threads come and go, most of them early: later on they are looked up in one round out of this many.
const THREADS_EVERY: u32 = 64;
/// No more threads than this are looked at.
const THREADS_MAX: usize = 32;
/// In one round each thread's memory is read this often,
const LOOKS_A_ROUND: usize = 32;
/// unless it is so much, in bytes over all threads.
const BYTES_A_ROUND: usize = 512 << 10;
/// Executables with more thread-local memory, in bytes, are not looked at.
const LEN_MAX: u32 = 64 << 10;

/// The search for the place, until it is found or given up.
#[derive(Debug)]
pub(in crate::session::collect) struct CurrentTaskFinder {
    /// The end of each thread's memory.
    bases: BTreeMap<u32, u64>,
    rounds: u32,
    /// The length of what lies below that, in bytes.
    len: usize,
    /// `None`: nothing is left to be found.
    search: Option<TlsSearch>,
}

impl CurrentTaskFinder {
    /// A finder in `len` bytes of the executable's thread-local variables. Nothing is looked for in none.
    pub(in crate::session::collect) fn new(len: u32) -> Self {
        let search = (1..=LEN_MAX).contains(&len).then(TlsSearch::default);
        Self { bases: BTreeMap::new(), rounds: 0, len: len.next_multiple_of(64) as usize, search }
    }

    /// Looks at the threads' memory now.
    pub(in crate::session::collect) fn look(&mut self, process: &Process) {
        let Some(search) = &mut self.search else { return };
        if self.rounds.is_multiple_of(THREADS_EVERY) || self.rounds.is_power_of_two() {
            self.bases = thread_pointers::bases(process).into_iter().take(THREADS_MAX).collect();
        }
        self.rounds = self.rounds.wrapping_add(1);
        let often = BYTES_A_ROUND / (self.len * self.bases.len()).max(1);
        for _ in 0..often.min(LOOKS_A_ROUND) {
            for (&tid, &base) in &self.bases {
                let mut bytes = vec![0; self.len];
                let from = monotonic_ns();
                let read = process.read_memory(RuntimeAddr(base.wrapping_sub(self.len as u64)), &mut bytes);
                if read == bytes.len() {
                    search.looked(tid, Look { from, until: monotonic_ns(), words: words(&bytes) });
                }
            }
        }
    }

    /// Takes the next event; returns the place once, when it is found.
    pub(in crate::session::collect) fn event(&mut self, event: &Event) -> Option<CurrentTask> {
        let search = self.search.as_mut()?;
        search.event(event);
        let found = search.found();
        if found.is_some() || search.is_hopeless() {
            self.search = None;
        }
        found
    }
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes)).collect()
}
