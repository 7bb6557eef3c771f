//! Whether anything grew: the first part of the time, once all is warm, against the last.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::Look;

/// The parts that are compared, and what comes before: buffers are touched page by page, and pools fill.
const PARTS: usize = 6;
/// What a process may have more in the last part: what waits to be put in order depends on the machine.
const GROWTH_KIB: u64 = 8 << 10;
/// How many times as long a request may take in the last part, beside [`LATENCY_SLACK`]: the machine is not alone.
const LATENCY_TIMES: u32 = 3;
const LATENCY_SLACK: Duration = Duration::from_millis(2);

/// What one part of the time was like.
#[derive(Clone, Copy, Debug)]
struct Part {
    agent_kib: u64,
    target_kib: u64,
    agent_descriptors: usize,
    target_descriptors: usize,
    median: Duration,
    slow: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Verdict {
    minutes: u64,
    rate: u64,
    first: Part,
    last: Part,
    asked: u64,
    told: u64,
    lost: u64,
    recorded: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    kind: &'a str,
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
            median: *latencies.get(latencies.len() / 2)?,
            slow: *latencies.get(latencies.len() * 99 / 100)?,
        })
    }
}

impl Verdict {
    /// Judges what was seen, and the requests that the recording's JSON tells of.
    ///
    /// # Errors
    /// Where there was too little time, or the JSON cannot be read.
    pub(super) fn of(minutes: u64, rate: u64, looks: &[Look], asked: u64, recorded: u64, json: &Path) -> Result<Self> {
        let part = looks.len() / PARTS;
        ensure!(part > 0, "only {} looks", looks.len());
        let first = Part::of(&looks[part..2 * part]).context("no first part")?;
        let last = Part::of(&looks[looks.len() - part..]).context("no last part")?;
        let (mut told, mut lost) = (0, None);
        for line in BufReader::new(File::open(json)?).lines() {
            let line = line?;
            let line: Line<'_> = serde_json::from_str(&line).with_context(|| format!("in {line}"))?;
            told += u64::from(line.kind == "request" && line.end.is_some_and(|end| end.status == Some(200)));
            lost = line.totals.map(|totals| totals.lost).or(lost);
        }
        let lost = lost.context("the JSON has no totals")?;
        Ok(Self { minutes, rate, first, last, asked, told, lost, recorded })
    }

    /// What is not as it should be.
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
        if last.median > first.median * LATENCY_TIMES + LATENCY_SLACK {
            mistakes.push(format!("requests took {:?}, and {:?} in the end", first.median, last.median));
        }
        if self.lost > 0 || self.told != self.asked {
            mistakes.push(format!("{} of {} requests told, {} events lost", self.told, self.asked, self.lost));
        }
        mistakes
    }

    /// For the document.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{} minutes at {} requests a second: {} of {} requests told with their status, {} events lost, {} MiB \
             recorded. The second sixth of the time beside the last, each with its highest value:\n\n| | second sixth | last sixth |\n| --- | --- | --- |\n",
            self.minutes,
            self.rate,
            self.told,
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
        row("a request, median", format!("{:.2?}", first.median), format!("{:.2?}", last.median));
        row("a request, 99 of 100 within", format!("{:.2?}", first.slow), format!("{:.2?}", last.slow));
        table
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table())
    }
}
