//! Whether anything grew: the first part of the time, once all is warm, against the last.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::json_lines;
use serde::Deserialize;

use super::Look;

/// The parts that are compared, and what comes before: buffers are touched page by page, and pools fill.
const PARTS: usize = 6;
/// The most that a process may have grown: what waits to be put in order depends on the machine.
const GROWTH_KIB: u64 = 8 << 10;
/// The number of times as long a request may take in the last part, beside [`LATENCY_SLACK`]. Other work on the machine
/// lengthens requests as well: what is compared are the quietest moments, which it spares, and which anything that
/// grows does not.
const LATENCY_TIMES: u32 = 2;
const LATENCY_SLACK: Duration = Duration::from_micros(500);

/// The figures of one part of the time.
#[derive(Clone, Copy, Debug)]
struct Part {
    agent_kib: u64,
    target_kib: u64,
    agent_descriptors: usize,
    target_descriptors: usize,
    /// The lowest median of any look.
    quiet: Duration,
    median: Duration,
    slow: Duration,
    /// The machine's average load.
    load: f64,
}

/// The outcome.
#[derive(Debug)]
pub(super) struct Verdict {
    minutes: u64,
    rate: u64,
    first: Part,
    last: Part,
    asked: u64,
    reported: u64,
    lost: u64,
    recorded: u64,
}

#[derive(Deserialize)]
struct Line {
    kind: String,
    #[serde(default)]
    end: Option<End>,
    #[serde(default)]
    totals: Option<Totals>,
}

#[derive(Deserialize)]
struct End {
    #[serde(default)]
    status: Option<u16>,
}

#[derive(Deserialize)]
struct Totals {
    lost: u64,
}

impl Part {
    fn of(looks: &[Look]) -> Option<Self> {
        let highest = |number: fn(&Look) -> u64| looks.iter().map(number).max();
        let mut latencies: Vec<Duration> = looks.iter().flat_map(|look| look.latencies.iter().copied()).collect();
        latencies.sort_unstable();
        Some(Self {
            agent_kib: highest(|look| look.agent.resident_kib)?,
            target_kib: highest(|look| look.target.resident_kib)?,
            agent_descriptors: looks.iter().map(|look| look.agent.descriptors).max()?,
            target_descriptors: looks.iter().map(|look| look.target.descriptors).max()?,
            quiet: looks.iter().filter_map(|look| look.latencies.get(look.latencies.len() / 2)).min().copied()?,
            median: *latencies.get(latencies.len() / 2)?,
            slow: *latencies.get(latencies.len() * 99 / 100)?,
            load: looks.iter().map(|look| look.load).sum::<f64>() / looks.len() as f64,
        })
    }
}

impl Verdict {
    /// Judges what was seen, and the requests that the recording's JSON reports.
    ///
    /// # Errors
    /// Where there was too little time, or the JSON cannot be read.
    pub(super) fn of(minutes: u64, rate: u64, looks: &[Look], asked: u64, recorded: u64, json: &Path) -> Result<Self> {
        let part = looks.len() / PARTS;
        ensure!(part > 0, "only {} looks", looks.len());
        let first = Part::of(&looks[part..2 * part]).context("no first part")?;
        let last = Part::of(&looks[looks.len() - part..]).context("no last part")?;
        let (mut reported, mut lost) = (0, None);
        for line in json_lines::read::<Line>(json)? {
            let line = line?;
            reported += u64::from(line.kind == "request" && line.end.is_some_and(|end| end.status == Some(200)));
            lost = line.totals.map(|totals| totals.lost).or(lost);
        }
        let lost = lost.context("the JSON has no totals")?;
        Ok(Self { minutes, rate, first, last, asked, reported, lost, recorded })
    }

    /// Returns what is not as it should be.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let (first, last) = (self.first, self.last);
        let grew = [
            ("the agent's memory", first.agent_kib, last.agent_kib, GROWTH_KIB),
            ("the target's memory", first.target_kib, last.target_kib, GROWTH_KIB),
            ("the agent's descriptors", first.agent_descriptors as u64, last.agent_descriptors as u64, 0),
            ("the target's descriptors", first.target_descriptors as u64, last.target_descriptors as u64, 0),
        ];
        let grew = grew.into_iter().filter(|(_, first, last, may_grow)| *last > first + may_grow);
        let mut mistakes: Vec<String> =
            grew.map(|(what, first, last, _)| format!("{what} grew from {first} to {last}")).collect();
        if last.quiet > first.quiet * LATENCY_TIMES + LATENCY_SLACK {
            mistakes.push(format!("requests took {:?} at best, and {:?} in the end", first.quiet, last.quiet));
        }
        if self.lost > 0 || self.reported != self.asked {
            mistakes.push(format!("{} of {} requests reported, {} events lost", self.reported, self.asked, self.lost));
        }
        mistakes
    }

    /// For the document.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{} minutes at {} requests a second: {} of {} requests reported with their status, {} events lost, {} MiB \
             recorded. The second sixth of the time beside the last, each with its highest value:\n\n| | second sixth | last sixth |\n| --- | --- | --- |\n",
            self.minutes,
            self.rate,
            self.reported,
            self.asked,
            self.lost,
            self.recorded >> 20
        );
        let (first, last) = (self.first, self.last);
        let mut row = |what: &str, first: String, last: String| {
            // Writing to a string cannot fail.
            let _written = writeln!(table, "| {what} | {first} | {last} |");
        };
        row("agent, resident KiB", first.agent_kib.to_string(), last.agent_kib.to_string());
        row("target, resident KiB", first.target_kib.to_string(), last.target_kib.to_string());
        row("agent, descriptors", first.agent_descriptors.to_string(), last.agent_descriptors.to_string());
        row("target, descriptors", first.target_descriptors.to_string(), last.target_descriptors.to_string());
        row("a request, median of the quietest 5 s", format!("{:.2?}", first.quiet), format!("{:.2?}", last.quiet));
        row("a request, median", format!("{:.2?}", first.median), format!("{:.2?}", last.median));
        row("a request, 99 of 100 within", format!("{:.2?}", first.slow), format!("{:.2?}", last.slow));
        row("threads of the machine that want a processor", format!("{:.1}", first.load), format!("{:.1}", last.load));
        table
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())
    }
}

#[cfg(test)]
mod tests {
    use asyncscope_tests::kernel::Holdings;

    use super::*;

    fn part(millis: &[u64], agent_kib: u64, agent_descriptors: usize) -> Part {
        let look = |&millis: &u64| Look {
            agent: Holdings { resident_kib: agent_kib, descriptors: agent_descriptors },
            target: Holdings { resident_kib: 1, descriptors: 1 },
            latencies: vec![Duration::from_millis(millis); 3],
            load: 1.0,
        };
        Part::of(&millis.iter().map(look).collect::<Vec<_>>()).unwrap()
    }

    fn check(last: Part, reported: u64, lost: u64, words: &[&str]) {
        let first = part(&[1, 30, 2], 50_000, 20);
        let verdict = Verdict { minutes: 1, rate: 1, first, last, asked: 10, reported, lost, recorded: 0 };
        let mistakes = verdict.mistakes();
        assert_eq!(mistakes.len(), words.len(), "{mistakes:?}");
        assert!(mistakes.iter().zip(words).all(|(mistake, words)| mistake.contains(words)), "{mistakes:?}");
    }

    #[test]
    fn what_grows_is_reported() {
        let flat = || part(&[40, 2, 50], 58_000, 20);
        check(flat(), 10, 0, &[]);
        check(part(&[40, 3, 50], 58_000, 20), 10, 0, &["in the end"]);
        check(part(&[1], 58_193, 21), 10, 0, &["the agent's memory", "the agent's descriptors"]);
        check(flat(), 9, 0, &["9 of 10"]);
        check(flat(), 10, 1, &["1 events lost"]);
    }
}
