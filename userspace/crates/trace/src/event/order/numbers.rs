//! The numbers of one CPU's events: which have arrived, and which never will.

use std::collections::BTreeMap;

/// The numbers of one CPU.
///
/// They are kept as runs without a hole in between, so that a CPU that loses nothing is one run. A hole
/// whose loss was reported counts as filled.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The runs by their first number; no two touch.
    runs: BTreeMap<u64, Run>,
    /// The count of numbers that were reported as lost.
    reported: u64,
    /// The count of events that arrived and were dropped.
    dropped: u64,
    /// The count of numbers that the CPU has taken, as far as known.
    attempted: u64,
    /// All events before this time have arrived or are lost; `None`: nothing is known.
    pub(super) watermark: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// The last number in the run.
    last: u64,
    /// The time of the event with that number.
    last_time: u64,
}

/// Consecutive numbers that never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    /// The first of them.
    pub(super) first: u64,
    /// The count of them.
    pub(super) lost: u64,
    /// The time of the event before them; `None` where they are the CPU's first.
    pub(super) since: Option<u64>,
}

impl Numbers {
    /// Notes an event; false if its number was there already.
    pub(super) fn insert(&mut self, seq: u64, time: u64) -> bool {
        // Mostly it is the one after the last.
        if let Some(mut newest) = self.runs.last_entry()
            && newest.get().last.checked_add(1) == Some(seq)
        {
            *newest.get_mut() = Run { last: seq, last_time: time };
            return true;
        }
        let mut first = seq;
        if let Some((&before, run)) = self.runs.range(..=seq).next_back() {
            if run.last >= seq {
                return false;
            }
            if run.last + 1 == seq {
                first = before;
            }
        }
        let after = seq.checked_add(1).and_then(|next| self.runs.remove(&next));
        self.runs.insert(first, after.unwrap_or(Run { last: seq, last_time: time }));
        true
    }

    /// Notes an event that came too late to be kept.
    pub(super) fn drop_one(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// Notes a drain: see [`super::CpuRound`].
    pub(super) fn drained(&mut self, attempted: u64, lost: u64, time: u64) {
        self.attempted = self.attempted.max(attempted);
        let missing = self.missing_below(attempted).saturating_add(self.reported);
        if missing <= lost.saturating_add(self.dropped) {
            self.watermark = self.watermark.max(Some(time));
        } else {
            self.watermark = self.watermark.or(Some(0));
        }
    }

    /// Fills the hole that ends at `seq`, if there is one, and reports it.
    pub(super) fn close_hole_before(&mut self, seq: u64) -> Option<Hole> {
        let run = *self.runs.get(&seq)?;
        let hole = self.hole_below(seq)?;
        self.runs.remove(&seq);
        self.fill(hole, run);
        Some(hole)
    }

    /// Fills the hole between the last event and all that was attempted, if there is one.
    pub(super) fn close_last_hole(&mut self) -> Option<Hole> {
        let hole = self.hole_below(self.attempted)?;
        self.fill(hole, Run { last: self.attempted - 1, last_time: hole.since.unwrap_or(0) });
        Some(hole)
    }

    /// Lets the run before the hole, or a new one from 0 on, reach to the end of `run`.
    fn fill(&mut self, hole: Hole, run: Run) {
        self.reported = self.reported.saturating_add(hole.lost);
        let first = self.runs.range(..hole.first).next_back().map_or(0, |(&first, _)| first);
        self.runs.insert(first, run);
    }

    /// The hole between `end` and the last number before it that arrived.
    fn hole_below(&self, end: u64) -> Option<Hole> {
        let before = self.runs.range(..end).next_back().map(|(_, run)| *run);
        let first = before.map_or(0, |run| run.last.saturating_add(1));
        let lost = end.checked_sub(first).filter(|&lost| lost > 0)?;
        Some(Hole { first, lost, since: before.map(|run| run.last_time) })
    }

    fn missing_below(&self, end: u64) -> u64 {
        let arrived: u64 =
            self.runs.range(..end).map(|(&first, run)| run.last.saturating_add(1).min(end) - first).sum();
        end - arrived
    }
}
