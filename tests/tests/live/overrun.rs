//! Buffers that are overrun many times over: each event that was made is reported or counted as lost, never both and
//! never neither, and nothing is made up in the gaps.
//!
//! How many events the same work makes is reported by a second asyncscope beside the first, whose buffers hold all of
//! it, and whose tasks, polls and wakes are in turn held against the target's own.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_trace::event::{TaskId, What};
use asyncscope_trace::facts::NotSeen;
use asyncscope_trace::recording::Reader;

use crate::life::nothing_left;
use crate::{Case, Test, named, scenarios};

/// In KiB, of each CPU: the smallest there can be, and more than the storm makes.
const SMALL: &str = "4";
const LARGE: &str = "131072";
/// As often as this the small buffers would have been filled.
const TIMES: u64 = 10;
/// In bytes, of the smallest record.
const RECORD_MIN: u64 = 32;

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[("all_is_counted", all_is_counted), ("one_number", one_number)];
    named("overrun", tests)
}

/// Losses that go on beyond the end, while hooks are taken away, are reported as the same number everywhere.
fn one_number() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = |name: &str| scratch.file(name).display().to_string();
    let (json, record, svg) = (file("json"), file("ascope"), file("svg"));
    let mut target = Target::start("load")?;
    target.go()?;
    let pid = target.process.pid().to_string();
    let outputs = ["--json", &json, "--record", &record, "--flamegraph", &svg];
    let briefly = ["attach", &pid, "--buffer", SMALL, "--duration", "1s"];
    let ended = Agent::start(briefly.iter().chain(&outputs))?.succeed()?;
    target.go()?;
    target.done()?;
    target.finish()?;
    let recording = Seen::read(Path::new(&json))?.recording;
    let lost = recording.totals.lost;
    ensure!(lost > 0, "nothing was lost");
    let reported = format!("{lost} events lost");
    ensure!(ended.stderr.iter().any(|line| line.starts_with(&reported)), "{:?}", ended.stderr);
    ensure!(std::fs::read_to_string(&svg)?.contains(&format!("({reported}")), "the picture does not say it");
    let summary = agent::run(["report", &record])?.stdout;
    let by_kind = summary.iter().find_map(|line| line.strip_prefix("events lost: ")).context("no line on losses")?;
    let ring_full = by_kind.split(", ").find_map(|kind| kind.strip_prefix("ring-full ")).context("not of the ring")?;
    ensure!(ring_full.parse::<u64>()? == lost, "{lost} in the JSON, but {by_kind}");
    ensure!(recording.not_seen.contains(&NotSeen::new("ring-full", lost)), "{:?}", recording.not_seen);
    ensure!(summary.iter().any(|line| line.contains(&format!("with {lost} events missing"))), "{summary:?}");
    Ok(())
}

/// What a recording holds of the hooks' events.
#[derive(Debug, Default)]
struct Held {
    events: u64,
    gaps: u64,
    lost_in_gaps: u64,
    /// As the kernel's counters have it.
    counted: HashMap<String, u64>,
    /// Events by task and kind.
    of_tasks: HashMap<(TaskId, &'static str), u64>,
}

fn read(path: &Path) -> Result<Held> {
    let reader = Reader::new(BufReader::new(File::open(path)?))?;
    let mut held = Held::default();
    let recording = reader.read(&mut |event| {
        let (kind, task) = match &event.what {
            What::Gap { lost, .. } => {
                held.gaps += 1;
                held.lost_in_gaps += lost;
                return;
            }
            // The agent's own.
            What::ThreadName { .. } | What::ThreadAtRest => return,
            What::PollStart { task, .. } => ("poll", Some(task)),
            What::PollEnd { task, .. } => ("end of a poll", Some(task)),
            What::Wake { task, .. } => ("wake", Some(task)),
            What::Spawn { task, .. } => ("spawn", Some(task)),
            _ => ("other", None),
        };
        held.events += 1;
        if let Some(id) = task.and_then(|task| task.id) {
            *held.of_tasks.entry((id, kind)).or_default() += 1;
        }
    });
    ensure!(recording.damage.is_none() && recording.skipped == 0, "{:?}", recording.damage);
    held.counted =
        recording.loss.into_iter().filter(|lost| lost.count > 0).map(|lost| (lost.why, lost.count)).collect();
    Ok(held)
}

fn attach(target: &Target, buffer: &str, record: &Path, json: &Path) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    let (record, json) = (record.to_string_lossy(), json.to_string_lossy());
    let mut agent = Agent::start(["attach", &pid, "--buffer", buffer, "--record", &record, "--json", &json])?;
    agent.armed()?;
    Ok(agent)
}

fn all_is_counted() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = |name: &str| scratch.file(name);
    let objects = bpf_objects()?;
    let mut target = Target::start("storm")?;
    let large = attach(&target, LARGE, &file("large.ascope"), &file("large.json"))?;
    let small = attach(&target, SMALL, &file("small.ascope"), &file("small.json"))?;
    target.go()?;
    target.done()?;
    small.interrupt()?;
    large.interrupt()?;
    let truth = target.finish()?;
    let (all, some) = (read(&file("large.ascope"))?, read(&file("small.ascope"))?);
    eprintln!(
        "overrun::all_is_counted: {} events made; {} reported and {} lost in {} gaps, counted as {:?}",
        all.events, some.events, some.lost_in_gaps, some.gaps, some.counted
    );
    // What the larger one reported is all that there was: as many tasks, polls and spawns as the target made.
    ensure!(all.gaps == 0 && all.counted.is_empty(), "the large buffers were overrun: {:?}", all.counted);
    scenarios::judge("overrun::the_larger_one", &truth, &Seen::read(&file("large.json"))?)?;
    let cpus = std::thread::available_parallelism()?.get() as u64;
    let capacity = cpus * SMALL.parse::<u64>()? * 1024 / RECORD_MIN;
    ensure!(all.events > TIMES * capacity, "only {} events in buffers for {capacity}", all.events);
    ensure!(some.gaps > 0, "nothing was lost");
    // Each event has a number of its own, and numbers that are missing are gaps; the kernel counts beside that.
    ensure!(
        some.events + some.lost_in_gaps == all.events,
        "{} events are neither reported nor counted, or both",
        all.events.abs_diff(some.events + some.lost_in_gaps)
    );
    let full = some.counted.get("ring-full").copied().unwrap_or(0);
    ensure!(some.counted.values().sum::<u64>() == full && full == some.lost_in_gaps, "{:?}", some.counted);
    for (what, count) in &some.of_tasks {
        let made = all.of_tasks.get(what).copied().with_context(|| format!("made up: {what:?}"))?;
        ensure!(*count <= made, "{count} of {what:?}, and {made} were made");
    }
    scenarios::judge("overrun::the_smaller_one_storm", &truth, &Seen::read(&file("small.json"))?)?;
    nothing_left(&objects)
}
