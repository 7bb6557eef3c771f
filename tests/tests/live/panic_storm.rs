//! Panics by the thousand, watched and unwatched: what becomes of each is the same, and the target never aborts.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;
use asyncscope_tests::truth::{Tally, Truth};

use crate::life::nothing_left;
use crate::{Case, Test, named};

/// How often the storm is watched, unless `ASYNCSCOPE_STORMS` says otherwise.
const STORMS: u32 = 1;

/// The kind whose tasks panic because they are aborted.
const ABORTED: &str = "drop_of_a_future_that_is_aborted";

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[("silent", silent), ("with_backtraces", with_backtraces)];
    named("panic_storm", tests)
}

fn start(backtraces: bool) -> Result<Target> {
    let mut command = Command::new(paths::truth()?);
    command.arg("panic_storm").env_remove("RUST_BACKTRACE");
    if backtraces {
        command.env("RUST_BACKTRACE", "1");
    }
    Target::start_command(&mut command, "panic_storm")
}

fn unwatched(backtraces: bool) -> Result<Truth> {
    let mut target = start(backtraces)?;
    target.go()?;
    target.done()?;
    target.finish()
}

fn silent() -> Result<()> {
    let times = std::env::var("ASYNCSCOPE_STORMS").map_or(Ok(STORMS), |times| times.parse())?;
    let expected = unwatched(false)?;
    for _ in 0..times {
        same("panic_storm::silent", &expected, trial::attached(start(false)?, &[])?)?;
    }
    Ok(())
}

fn with_backtraces() -> Result<()> {
    same("panic_storm::with_backtraces", &unwatched(true)?, trial::attached(start(true)?, &[])?)
}

/// The target counts the same, and what the agent saw is what the target counts.
fn same(name: &str, unwatched: &Truth, (watched, seen): (Truth, Seen)) -> Result<()> {
    let objects = bpf_objects()?;
    let counts = |truth: &Truth| -> BTreeMap<String, Tally> {
        truth.storm.iter().map(|(kind, tally)| (kind.clone(), Tally { micros: 0, ..*tally })).collect()
    };
    ensure!(!watched.storm.is_empty(), "no storm");
    ensure!(counts(&watched) == counts(unwatched), "{:?} watched, {:?} unwatched", watched.storm, unwatched.storm);
    for (kind, tally) in &watched.storm {
        let alone = unwatched.storm.get(kind).map_or(0, per_second);
        eprintln!("{name}: {kind}: {} panics caught, {} a second, {alone} unwatched", tally.caught, per_second(tally));
    }
    reported_rightly(name, &watched, &seen)?;
    nothing_left(&objects)
}

/// Every task, and how it ended. One that was aborted counts as cancelled, whatever the drop of its future did.
fn reported_rightly(name: &str, watched: &Truth, seen: &Seen) -> Result<()> {
    let sum = |count: fn(&Tally) -> u64| watched.storm.values().map(count).sum::<u64>();
    let own = || seen.tasks.values().filter(|task| !task.runtime);
    let ended = |how: &[&str]| {
        own().filter(|task| task.end.as_ref().is_some_and(|end| how.contains(&end.how.as_str()))).count() as u64
    };
    let (tasks, panicked, cancelled) =
        (own().count() as u64, ended(&["panicked"]), ended(&["cancelled", "aborted-while-running"]));
    let lost = seen.recording.totals.lost;
    eprintln!("{name}: of {tasks} tasks seen {panicked} panicked, {cancelled} were cancelled; {lost} events lost");
    let (true_tasks, true_panicked) = (sum(|tally| tally.tasks), sum(|tally| tally.panicked));
    let not_completed = true_panicked + sum(|tally| tally.cancelled);
    let aborted = watched.storm.get(ABORTED).map_or(0, |tally| tally.panicked);
    ensure!(tasks <= true_tasks && panicked <= true_panicked, "of {true_tasks} tasks {true_panicked} panicked");
    // What is lost is reported, and is all that may be missing.
    let all = tasks == true_tasks && panicked + cancelled == not_completed && panicked >= true_panicked - aborted;
    ensure!(lost > 0 || all, "of {true_tasks} tasks {true_panicked} panicked, of these {aborted} in an abort");
    Ok(())
}

fn per_second(tally: &Tally) -> u64 {
    tally.caught * 1_000_000 / tally.micros.max(1)
}
