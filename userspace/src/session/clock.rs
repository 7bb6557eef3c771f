//! The two clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::facts::Moment;

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock of the probe's events.
pub(super) fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Now on both.
pub(super) fn moment() -> Moment {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { monotonic_ns: monotonic_ns(), unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX) }
}
