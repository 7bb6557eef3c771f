//! The comparison as a table.

use std::fmt::{Display, Formatter, Result};

use super::compare::{Comparison, Pair, Sums, TOLERANCE_NS, TOLERANCE_PERCENT};

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(
            f,
            "{:<36} {:>6} {:>13} {:>13} {:>11} {:>11} {:>7} {:>11} {:>11} {:>7}",
            "task type",
            "tasks",
            "polls, own",
            "polls, seen",
            "busy, own",
            "busy, seen",
            "diff",
            "wait, own",
            "wait, seen",
            "diff"
        )?;
        for (name, sums) in &self.types {
            row(f, name, sums)?;
        }
        let parents = &self.parents;
        writeln!(
            f,
            "parents: {} right, {} wrong, {} unknown; tasks not seen from spawn to end: {}",
            parents.right, parents.wrong, parents.unknown, self.missed
        )?;
        writeln!(f, "agreed are {TOLERANCE_PERCENT} % or {} µs a task, and every poll", TOLERANCE_NS / 1_000)
    }
}

fn row(f: &mut Formatter<'_>, name: &str, sums: &Sums) -> Result {
    write!(f, "{name:<36} {:>6} {:>13} {:>13}", sums.tasks, sums.polls.lived, sums.polls.seen)?;
    times(f, sums.busy)?;
    times(f, sums.wait)?;
    match &sums.misnamed {
        Some(name) => writeln!(f, "  seen as {name:?}"),
        None => writeln!(f),
    }
}

fn times(f: &mut Formatter<'_>, pair: Pair) -> Result {
    write!(f, " {:>11} {:>11} {:>+5.1} %", milliseconds(pair.lived), milliseconds(pair.seen), pair.percent())
}

fn milliseconds(ns: u64) -> String {
    format!("{}.{:03} ms", ns / 1_000_000, ns / 1_000 % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ns: u64, expected: &str) {
        assert_eq!(milliseconds(ns), expected);
    }

    #[test]
    fn milliseconds_with_three_digits() {
        check(0, "0.000 ms");
        check(1_002_999, "1.002 ms");
        check(12_345_678_901, "12345.678 ms");
    }
}
