//! The two clocks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use asyncscope_trace::facts::ClockPair;

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of the probe's events.
pub(super) fn monotonic_ns() -> u64 {
    // This clock always exists.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    now.as_secs() * 1_000_000_000 + u64::from(now.subsec_nanos())
}

/// Readings of which the best is taken: the one that was interrupted least.
const READINGS: usize = 5;
/// The clocks' distance changes by less than this unless the wall clock was set, or the machine slept:
/// both are slewed alike.
const STEP_NS: u64 = 2_000_000;

/// Now on both.
pub(super) fn moment() -> ClockPair {
    let readings = std::array::from_fn::<_, READINGS, _>(|_| reading());
    readings.into_iter().min_by_key(|(took, _)| *took).map(|(_, moment)| moment).unwrap_or_default()
}

/// Returns the time that a reading took, and the reading.
fn reading() -> (u64, ClockPair) {
    let before = monotonic_ns();
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let took = monotonic_ns().saturating_sub(before);
    let unix_ns = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
    (took, ClockPair { monotonic_ns: before + took / 2, unix_ns })
}

/// Now, if the clocks are another distance apart than they were at `last`.
pub(super) fn step_since(last: ClockPair) -> Option<ClockPair> {
    let now = moment();
    is_step(last, now).then_some(now)
}

fn is_step(last: ClockPair, now: ClockPair) -> bool {
    let distance = |moment: ClockPair| i128::from(moment.unix_ns) - i128::from(moment.monotonic_ns);
    (distance(now) - distance(last)).unsigned_abs() > u128::from(STEP_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_distinguished_from_the_passing_of_time() {
        let at = |monotonic_ns, unix_ns| ClockPair { monotonic_ns, unix_ns };
        let last = at(1_000, 5_000_000_000);
        assert!(!is_step(last, at(9_000_001_000, 14_000_000_000)));
        assert!(!is_step(last, at(9_000_001_000, 14_001_000_000)));
        assert!(is_step(last, at(9_000_001_000, 14_003_000_000)));
        assert!(is_step(last, at(9_000_001_000, 1_000_000_000)));
    }
}
