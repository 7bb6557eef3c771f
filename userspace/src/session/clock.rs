//! The two clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use asyncscope_trace::facts::Moment;

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of the probe's events.
pub(super) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Readings of which the best is taken: the one that was interrupted least.
const READINGS: usize = 5;
/// The clocks' distance changes by less than this unless the wall clock was set, or the machine slept:
/// both are slewed alike.
const STEP_NS: u64 = 2_000_000;

/// Now on both.
pub(super) fn moment() -> Moment {
    let readings = std::array::from_fn::<_, READINGS, _>(|_| reading());
    readings.into_iter().min_by_key(|(took, _)| *took).map(|(_, moment)| moment).unwrap_or_default()
}

/// Returns the time that a reading took, and the reading.
fn reading() -> (u64, Moment) {
    let before = monotonic_ns();
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let took = monotonic_ns().saturating_sub(before);
    let unix_ns = u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX);
    (took, Moment { monotonic_ns: before + took / 2, unix_ns })
}

/// Now, if the clocks are another distance apart than they were at `last`.
pub(super) fn step_since(last: Moment) -> Option<Moment> {
    let now = moment();
    is_step(last, now).then_some(now)
}

fn is_step(last: Moment, now: Moment) -> bool {
    let distance = |moment: Moment| i128::from(moment.unix_ns) - i128::from(moment.monotonic_ns);
    (distance(now) - distance(last)).unsigned_abs() > u128::from(STEP_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_from_the_passing_of_time() {
        let at = |monotonic_ns, unix_ns| Moment { monotonic_ns, unix_ns };
        let last = at(1_000, 5_000_000_000);
        assert!(!is_step(last, at(9_000_001_000, 14_000_000_000)));
        assert!(!is_step(last, at(9_000_001_000, 14_001_000_000)));
        assert!(is_step(last, at(9_000_001_000, 14_003_000_000)));
        assert!(is_step(last, at(9_000_001_000, 1_000_000_000)));
    }
}
