//! Durations and times for people.

use asyncscope_trace::facts::ClockPair;

/// Nanoseconds in the largest fitting unit with three digits, such as `1.25ms`.
pub(super) fn human(ns: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let unit = UNITS.iter().find(|(size, _)| ns >= *size);
    unit.map_or_else(|| format!("{ns}ns"), |&(size, name)| scaled(ns, size, name))
}

fn scaled(ns: u64, size: u64, name: &str) -> String {
    let value = ns as f64 / size as f64;
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}{name}")
}

/// The time of day in UTC, to the millisecond, of a moment in nanoseconds of `CLOCK_MONOTONIC`.
pub(super) fn time_of_day(armed: &ClockPair, ns: u64) -> String {
    let unix_ns = i128::from(armed.unix_ns) + i128::from(ns) - i128::from(armed.monotonic_ns);
    let ms = unix_ns.div_euclid(1_000_000).rem_euclid(24 * 3_600_000);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}
