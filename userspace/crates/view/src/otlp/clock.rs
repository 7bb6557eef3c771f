//! From `CLOCK_MONOTONIC` to the wall clock.
//!
//! The distance between the two changes in steps: when the wall clock is set, and when the machine has
//! slept. One distance holds for a whole span, so that a step neither shortens it nor turns it around. It
//! is the greatest that was in force from the beginning of its trace to its own: so a span never begins
//! before its parent, a clock that was set forward is followed, and one that was set back is by new traces.

use asyncscope_trace::facts::{ClockPair, Facts};

#[derive(Debug)]
pub(super) struct SpanClock {
    /// Since when (in nanoseconds of `CLOCK_MONOTONIC`) which distance is in force.
    steps: Vec<(u64, i128)>,
}

/// The distance that holds for one span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distance(i128);

impl SpanClock {
    pub(super) fn new(facts: &Facts) -> Self {
        let distance = |moment: &ClockPair| i128::from(moment.unix_ns) - i128::from(moment.monotonic_ns);
        let mut steps = vec![(0, distance(&facts.armed))];
        steps.extend(facts.clock_steps.iter().map(|moment| (moment.monotonic_ns, distance(moment))));
        steps.sort_by_key(|(since, _)| *since);
        Self { steps }
    }

    /// For a span that begins at `start_ns` in a trace that began at `began_ns`.
    pub(super) fn distance(&self, began_ns: u64, start_ns: u64) -> Distance {
        let began = began_ns.min(start_ns);
        let before = |time: u64| self.steps.partition_point(|(since, _)| *since <= time);
        let in_force = self.steps.get(before(began).saturating_sub(1)..before(start_ns));
        let greatest = in_force.and_then(|steps| steps.iter().map(|(_, distance)| *distance).max());
        Distance(greatest.unwrap_or(0))
    }
}

impl Distance {
    /// Nanoseconds since the Unix epoch.
    pub(super) fn unix(self, monotonic_ns: u64) -> u64 {
        let unix = (i128::from(monotonic_ns) + self.0).max(0);
        u64::try_from(unix).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> SpanClock {
        let at = |monotonic_ns, unix_ns| ClockPair { monotonic_ns, unix_ns };
        let clock_steps = vec![at(200, 1_700), at(300, 1_100)];
        SpanClock::new(&Facts { armed: at(100, 1_100), clock_steps, ..Facts::default() })
    }

    fn unix(root: u64, start: u64) -> u64 {
        clock().distance(root, start).unix(start)
    }

    #[test]
    fn a_step_forward_is_followed_at_once() {
        assert_eq!([unix(100, 100), unix(100, 199), unix(100, 200)], [1_100, 1_199, 1_700]);
    }

    #[test]
    fn a_step_back_is_followed_by_new_traces() {
        assert_eq!([unix(100, 300), unix(250, 310), unix(300, 300)], [1_800, 1_810, 1_100]);
    }

    #[test]
    fn a_child_never_begins_before_its_parent() {
        for root in 0..400 {
            let starts: Vec<u64> = (root..400).map(|start| unix(root, start)).collect();
            assert!(starts.is_sorted(), "{root}");
        }
    }

    #[test]
    fn times_out_of_range_are_bounded() {
        let facts = |monotonic_ns, unix_ns| Facts { armed: ClockPair { monotonic_ns, unix_ns }, ..Facts::default() };
        assert_eq!(SpanClock::new(&facts(u64::MAX, 0)).distance(0, 5).unix(5), 0);
        assert_eq!(SpanClock::new(&facts(0, u64::MAX)).distance(0, 5).unix(5), u64::MAX);
    }
}
