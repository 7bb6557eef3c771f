//! What a recording holds of the hooks' events, by the numbers that the kernel gave them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Result, ensure};
use asyncscope_trace::event::{Event, What};
use asyncscope_trace::recording::Reader;

/// The content of a recording.
#[derive(Debug, Default)]
pub struct Held {
    /// Events that a hook saw.
    pub events: u64,
    /// Events missing in gaps.
    pub lost: u64,
    /// Losses as the kernel counts them.
    pub counted: u64,
    /// The time of the first of the events, in nanoseconds of `CLOCK_MONOTONIC`.
    pub first_ns: Option<u64>,
    /// The first and the last number of each CPU: each attempt to write an event takes the next one.
    numbers: BTreeMap<u16, (u64, u64)>,
    /// Spawns by type.
    spawns: HashMap<u64, u64>,
}

impl Held {
    /// Reads a recording that has no end missing.
    ///
    /// # Errors
    ///
    /// If it cannot be read, to its end.
    pub fn read(file: &Path) -> Result<Self> {
        let mut held = Self::default();
        let recording = Reader::new(BufReader::new(File::open(file)?))?.read(&mut |event| held.take(&event));
        ensure!(recording.damage.is_none() && recording.skipped == 0, "{:?}", recording.damage);
        held.counted = recording.loss.iter().map(|lost| lost.count).sum();
        Ok(held)
    }

    fn take(&mut self, event: &Event) {
        match &event.what {
            What::Gap { lost, .. } => {
                self.lost += lost;
                return;
            }
            // The agent's own.
            What::ThreadName { .. } | What::ThreadAtRest => return,
            What::Spawn { task, .. } => *self.spawns.entry(task.vtable).or_default() += 1,
            _ => {}
        }
        self.events += 1;
        self.first_ns.get_or_insert(event.at.time);
        let (first, last) = self.numbers.entry(event.at.cpu).or_insert((event.at.seq, event.at.seq));
        (*first, *last) = ((*first).min(event.at.seq), (*last).max(event.at.seq));
    }

    /// Events made while all hooks were in place, by the kernel's numbers.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.numbers.values().map(|(first, last)| last - first + 1).sum()
    }

    /// Spawns of the type that was spawned most often.
    #[must_use]
    pub fn most_spawned(&self) -> u64 {
        self.spawns.values().copied().max().unwrap_or(0)
    }
}
