//! Every scenario, attached to and run from the first instruction on, compared task by task.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::compare::{Rules, compare};
use asyncscope_tests::kernel;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_tests::truth::Truth;

use crate::Test;

const SCENARIOS: [&str; 14] = [
    "multi_thread",
    "current_thread",
    "local_set",
    "blocking",
    "several_runtimes",
    "panics",
    "aborts",
    "shutdown",
    "yields",
    "many_sites",
    "before_attach",
    "address_reuse",
    "storm",
    "names",
];

pub(crate) fn tests() -> Vec<(String, Test)> {
    let both = |scenario: &'static str| {
        let attached: Test = Box::new(move || attached(scenario));
        let run: Test = Box::new(move || run(scenario));
        [(format!("attach::{scenario}"), attached), (format!("run::{scenario}"), run)]
    };
    SCENARIOS.into_iter().flat_map(both).collect()
}

fn attached(scenario: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut target = Target::start(scenario)?;
    let mut args: Vec<OsString> = vec!["attach".into(), target.process.pid().to_string().into()];
    args.extend(["--json".into(), json.clone().into()]);
    args.extend(["--record".into(), scratch.file("events.ascope").into()]);
    let mut agent = Agent::start(args)?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    judge(&format!("attach::{scenario}"), &target.finish()?, &Seen::read(&json)?)
}

fn run(scenario: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut args: Vec<OsString> = vec!["run".into(), "--json".into(), json.clone().into(), "--".into()];
    args.extend([paths::truth()?.into(), scenario.into(), "--immediately".into()]);
    let ended = Agent::start(args)?.succeed()?;
    ensure!(ended.stdout.last().is_some_and(|line| line == "done"), "the target did not finish");
    let truth = Truth::parse(&ended.stdout)?;
    let seen = Seen::read(&json)?;
    let early = truth.tasks.values().filter(|task| task.spawn.t0 < seen.recording.armed.monotonic_ns);
    ensure!(early.count() == 0, "armed only after the first spawns");
    judge(&format!("run::{scenario}"), &truth, &seen)
}

/// Compares, and says how much of the lineage was known.
pub(crate) fn judge(name: &str, truth: &Truth, seen: &Seen) -> Result<()> {
    ensure!(!truth.tasks.is_empty(), "the target did nothing");
    let rules = Rules { losses: name.ends_with("storm"), threads: kernel::in_initial_pid_namespace() };
    let result = compare(truth, seen, rules);
    eprintln!("{name}: {result}");
    result.mistakes.is_empty().then_some(()).with_context(|| result.to_string())
}
