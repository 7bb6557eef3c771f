//! The CPUs' streams as one, in the order of [`At`], with what was lost reported as [`What::Gap`].
//!
//! # What the probe does
//! Each attempt to write an event takes the CPU's next number, then reads the clock, then reserves room
//! in the CPU's ring. Between any two of these steps the thread may be preempted, and another thread may
//! write events on the same CPU. So within one ring
//! - an event may stand behind one with a higher number or a later time;
//! - an event may become visible long after its time;
//! - a number that is missing may be lost, or on its way.
//!
//! # When an event may be released
//! A round of the drain loop reads, in this order: the clock, each CPU's count of losses, each CPU's
//! count of attempts, then the rings until they are empty. An event earlier than that reading of the
//! clock took its number before the count of attempts was read. So once no more numbers below that count
//! are missing than were lost, every event before the clock's reading has arrived: the CPU's *watermark*.
//! Losses are read before attempts so that none of them has a number that the count does not cover;
//! otherwise one could stand in for an event that is on its way. The counts need not agree otherwise: a
//! loss counted too late only puts the watermark off to the next round.
//!
//! Events before the lowest watermark of all CPUs are released. By then the same holds of the CPU's lower
//! numbers, so a number missing right before a released event is lost for good.
//!
//! # What never happens
//! The output is never out of order. An event that arrives after a later one was released is dropped, and
//! is part of a gap like any other that is missing. A number that arrives twice is kept once.

mod numbers;

use std::collections::BTreeMap;

use self::numbers::{Hole, Numbers};
use super::{At, Event, Origin, What};

/// The number of events that may wait to be released, unless set otherwise.
pub const DEFAULT_LIMIT: usize = 4_000_000;

/// The findings of a round of the drain loop about one CPU. A round reports every CPU that has a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuRound {
    /// The CPU.
    pub cpu: u16,
    /// The count of numbers that the CPU had taken, read after the round's clock and before its rings.
    pub attempted: u64,
    /// The count of those that were lost ([`probe_common::loss::Loss::leaves_gap`]), read before `attempted`.
    pub lost: u64,
}

/// Events that were not treated like the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Irregular {
    /// Released before their time, because more than the limit were waiting.
    pub forced: u64,
    /// Dropped, because a later event had been released. Those of the probe are part of a gap.
    pub late: u64,
    /// Dropped, because their number had been seen, or reported as lost.
    pub repeated: u64,
}

/// Merges the CPUs' streams.
#[derive(Debug)]
pub struct Order {
    /// Nanoseconds of `CLOCK_MONOTONIC`: the moment before all events.
    start: u64,
    /// The number of events that [`Order::pop`] may leave waiting.
    limit: usize,
    /// The events that wait, unordered since the last [`Order::pop`].
    waiting: Vec<Event>,
    cpus: BTreeMap<u16, Numbers>,
    /// The last event released.
    released: Option<At>,
    /// The latest time of an event or a round.
    latest: u64,
    irregular: Irregular,
}

impl Order {
    /// A merger of events that all lie after `start`, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn new(start: u64) -> Self {
        Self::with_limit(start, DEFAULT_LIMIT)
    }

    /// Like [`Order::new`], with at most `limit` events waiting after each [`Order::pop`].
    #[must_use]
    pub fn with_limit(start: u64, limit: usize) -> Self {
        Self {
            start,
            limit,
            waiting: Vec::new(),
            cpus: BTreeMap::new(),
            released: None,
            latest: start,
            irregular: Irregular::default(),
        }
    }

    /// Takes an event.
    ///
    /// One that the agent made has no number on its CPU and is only put in order; it must come before
    /// the [`Order::drained`] of the first round whose clock was read after the event's time.
    pub fn push(&mut self, event: Event) {
        let at = event.at;
        let late = self.released.is_some_and(|released| at < released);
        if event.what.origin() == Origin::Probe {
            let numbers = self.cpus.entry(at.cpu).or_default();
            if late || !numbers.insert(at.seq, at.time) {
                numbers.drop_one();
                return self.count_dropped(late);
            }
        } else if late {
            return self.count_dropped(late);
        }
        self.latest = self.latest.max(at.time);
        self.waiting.push(event);
    }

    /// Ends a round of the drain loop. `time` is its clock, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn drained(&mut self, round: &[CpuRound], time: u64) {
        self.latest = self.latest.max(time);
        for cpu in round {
            self.cpus.entry(cpu.cpu).or_default().drained(cpu.attempted, cpu.lost, time);
        }
    }

    /// Releases, in order, all events that none can precede any more, and beyond the limit the oldest
    /// of the others.
    pub fn pop(&mut self, sink: &mut impl FnMut(Event)) {
        let watermark = self.cpus.values().filter_map(|numbers| numbers.watermark).min().unwrap_or(0);
        // Stable, for events that are equal in all of `At`; fast, for rings that are nearly in order.
        self.waiting.sort_by_key(|event| event.at);
        let certain = self.waiting.partition_point(|event| event.at.time < watermark);
        let forced = self.waiting.len().saturating_sub(self.limit).saturating_sub(certain);
        self.irregular.forced += forced as u64;
        self.release(certain + forced, sink);
    }

    /// Releases everything, and reports the losses after each CPU's last event. Their gaps end at the
    /// last round's clock, or right after the last event if that is later.
    pub fn finish(&mut self, sink: &mut impl FnMut(Event)) {
        self.waiting.sort_by_key(|event| event.at);
        self.release(self.waiting.len(), sink);
        let last = self.released.map_or(self.start, |at| at.time);
        let end = self.latest.max(last.saturating_add(1));
        for (&cpu, numbers) in &mut self.cpus {
            if let Some(hole) = numbers.close_last_hole() {
                let gap = gap(hole, self.start, end, cpu);
                self.released = Some(gap.at);
                sink(gap);
            }
        }
    }

    /// Returns how many events wait to be released.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The events so far that were not treated like the others.
    #[must_use]
    pub fn irregular(&self) -> Irregular {
        self.irregular
    }

    /// Releases the first `count` of the waiting events, which are in order, and the gaps before them.
    fn release(&mut self, count: usize, sink: &mut impl FnMut(Event)) {
        for event in self.waiting.drain(..count) {
            let at = event.at;
            let numbers = self.cpus.get_mut(&at.cpu).filter(|_| event.what.origin() == Origin::Probe);
            if let Some(hole) = numbers.and_then(|numbers| numbers.close_hole_before(at.seq)) {
                sink(gap(hole, self.start, at.time, at.cpu));
            }
            self.released = Some(at);
            sink(event);
        }
    }

    fn count_dropped(&mut self, late: bool) {
        let Irregular { late: lates, repeated, .. } = &mut self.irregular;
        *(if late { lates } else { repeated }) += 1;
    }
}

/// The hole as an event at `time`. An event's number and time are not taken at once, so the one before
/// the hole may be later than the one after it.
fn gap(hole: Hole, start: u64, time: u64, cpu: u16) -> Event {
    let since = hole.since.unwrap_or(start).min(time);
    let at = At { time, cpu, seq: hole.first, tid: 0, sp: 0 };
    Event { at, what: What::Gap { since, lost: hole.lost } }
}

#[cfg(test)]
mod tests;
