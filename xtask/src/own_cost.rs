//! `own-cost`: what the agent's own work takes, step by step: instructions, which do not depend on the machine's
//! speed, time, and memory for each live task. The figures go into `docs/own-cost.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::document;
use crate::process::{cargo, on_path, output, root};

const STEPS: [(&str, &str); 4] = [
    ("decode", "bytes to events"),
    ("order", "the CPUs' events into one order"),
    ("apply", "events to the graph"),
    ("fold", "the graph to folded stacks"),
];
/// Tasks of a step's load; each has nine events.
const TASKS: [u64; 3] = [1_000, 10_000, 100_000];
const EVENTS_EACH: u64 = 9;
/// The number of them that callgrind, which is some fifty times slower, is given.
const COUNTED: usize = 2;
const TIMES: usize = 5;
const LIVE: [u64; 3] = [1_000, 100_000, 1_000_000];
/// The most that the check allows above the recorded figures, in percent.
const MORE_PERCENT: u64 = 2;

/// Options of `own-cost`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only count instructions, and fail where a step takes more of them than docs/own-cost.json says
    #[arg(long)]
    check: bool,
}

/// Instructions by step and number of tasks.
type Counts = BTreeMap<String, u64>;

/// Measures, prints and writes the figures, or checks them.
///
/// # Errors
/// Where callgrind is missing, something cannot be built or run, or a step takes more than it did.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(on_path("valgrind").is_some(), "callgrind counts the instructions: install valgrind");
    let steps = built()?;
    let counts = counts(&steps)?;
    let recorded = root().join("docs/own-cost.json");
    if options.check {
        return check(&counts, &recorded);
    }
    let rustc = output(Command::new("rustc").arg("-V"))?;
    fs::write(&recorded, serde_json::to_string_pretty(&counts)? + "\n")?;
    let mut table = format!("Built by {}; times are medians of {TIMES}.\n\n| step |", rustc.trim());
    let heads = TASKS.iter().take(COUNTED).map(|tasks| format!(" instructions an event, {tasks} tasks |"));
    table.extend(heads);
    table.extend(TASKS.iter().map(|tasks| format!(" ns an event, {tasks} tasks |")));
    table.push_str("\n| --- |");
    table.push_str(&" --- |".repeat(COUNTED + TASKS.len()));
    for (step, what) in STEPS {
        table.push_str(&format!("\n| {step}: {what} |"));
        for tasks in &TASKS[..COUNTED] {
            let count = counts.get(&key(step, *tasks)).copied().unwrap_or_default();
            table.push_str(&format!(" {:.0} |", count as f64 / (tasks * EVENTS_EACH) as f64));
        }
        for tasks in TASKS {
            table.push_str(&format!(" {:.0} |", time(&steps, step, tasks)? / (tasks * EVENTS_EACH) as f64));
        }
    }
    table.push('\n');
    for tasks in LIVE {
        table.push_str(&format!("\n- {}", output(Command::new(&steps).arg("live").arg(tasks.to_string()))?.trim()));
    }
    println!("{table}");
    document::put(&root().join("docs/own-cost.md"), "own-cost", &table)
}

/// The program that does one step, built as releases are.
fn built() -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "-p", "asyncscope", "--bench", "steps", "--message-format", "json"]);
    let said = output(&mut build)?;
    let artifacts = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ours = artifacts.filter(|artifact| artifact["target"]["name"] == "steps");
    let executable = ours.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from)).next_back();
    executable.context("cargo built no program of that name")
}

fn key(step: &str, tasks: u64) -> String {
    format!("{step} {tasks}")
}

fn counts(steps: &Path) -> Result<Counts> {
    let mut counts = Counts::new();
    for (step, _) in STEPS {
        for tasks in &TASKS[..COUNTED] {
            counts.insert(key(step, *tasks), instructions(steps, step, *tasks)?);
        }
    }
    Ok(counts)
}

fn instructions(steps: &Path, step: &str, tasks: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=steps::measured*"]);
    let ran = valgrind.arg(steps).arg(step).arg(tasks.to_string()).output().context("valgrind cannot be started")?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok()).filter(|count| *count > 0);
    count.with_context(|| format!("callgrind counted nothing: {said}"))
}

/// Nanoseconds of the whole step.
fn time(steps: &Path, step: &str, tasks: u64) -> Result<f64> {
    let mut runs = Vec::new();
    for _ in 0..TIMES {
        let said = output(Command::new(steps).arg(step).arg(tasks.to_string()))?;
        runs.push(said.trim().parse::<f64>().with_context(|| format!("no time: {said}"))?);
    }
    runs.sort_by(f64::total_cmp);
    Ok(runs[TIMES / 2])
}

fn check(counts: &Counts, recorded: &Path) -> Result<()> {
    let before: Counts = serde_json::from_str(&fs::read_to_string(recorded)?)?;
    let mut worse = Vec::new();
    for (step, count) in counts {
        let allowed = before.get(step).map_or(0, |before| before + before * MORE_PERCENT / 100);
        println!("{step}: {count} instructions, {allowed} allowed");
        if *count > allowed {
            worse.push(step.as_str());
        }
    }
    if !worse.is_empty() {
        bail!("more instructions than docs/own-cost.json allows: {}", worse.join(", "));
    }
    Ok(())
}
