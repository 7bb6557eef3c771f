//! Samples of CPU time, against the time that a program's tasks and functions counted themselves.
//!
//! The test: of n samples in tasks, those of a task type, of a function, and of each of both together are
//! binomially distributed about the part that the program counted; none may be off by more than [`SIGMAS`]
//! standard deviations and one sample. Nothing is asserted of how long anything took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::paths::{self, Build, Scratch};
use asyncscope_tests::process::Running;

use crate::Test;

/// One in 16 000 such numbers is off by more by chance.
const SIGMAS: f64 = 4.0;
pub(crate) const FREQUENCY: &str = "997";
const FUNCTIONS: [&str; 3] = ["mix", "sort", "sieve"];
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Of the samples in tasks, this many hundredths have a stack that reaches the poll function.
const REACHED_PERCENT: u64 = 99;

pub(crate) fn tests() -> Vec<(String, Test)> {
    let case = |name: &str, build| {
        let test: Test = Box::new(move || shares(build));
        (format!("sampling::{name}"), test)
    };
    let overrun: Test = Box::new(overrun);
    let mut tests =
        vec![case("release", Build::Release), case("fat_lto", Build::FatLto), case("stripped", Build::Stripped)];
    let run: Test = Box::new(run);
    tests.push(("sampling::overrun".to_owned(), overrun));
    tests.push(("sampling::run".to_owned(), run));
    tests
}

/// Nanoseconds, or samples, by task type and function.
pub(crate) type Shares = BTreeMap<(String, String), f64>;

fn shares(build: Build) -> Result<()> {
    let scratch = Scratch::new()?;
    let (folded, recording) = (scratch.file("cpu.folded"), scratch.file("cpu.ascope"));
    let target = started(&mut Command::new(paths::burn(build)?))?;
    let said = sampled(target, &folded, &recording, Agent::armed)?;
    check(build, &folded, &recording, &said)
}

/// The same of a program that is watched from its first instruction on.
fn run() -> Result<()> {
    let scratch = Scratch::new()?;
    let (folded, recording) = (scratch.file("cpu.folded"), scratch.file("cpu.ascope"));
    let binary = paths::burn(Build::Release)?;
    let outputs = ["--folded".as_ref(), folded.as_os_str(), "--record".as_ref(), recording.as_os_str()];
    let args = ["run", "--mode", "sample", "--frequency", FREQUENCY].map(AsRef::as_ref).into_iter().chain(outputs);
    let mut agent = Agent::start(args.chain(["--".as_ref(), binary.as_os_str()]))?;
    agent.armed()?;
    // The command has the agent's standard input and output.
    agent.process.stdout.until(|line| line == "ready", PATIENCE)?;
    agent.process.say("go")?;
    agent.process.stdout.until(|line| line == "done", PATIENCE)?;
    let said = said(agent.process.stdout.read())?;
    agent.succeed()?;
    check(Build::Release, &folded, &recording, &said)
}

fn check(build: Build, folded: &Path, recording: &Path, said: &Shares) -> Result<()> {
    let again = agent::run(["report".as_ref(), recording.as_os_str(), "--folded".as_ref(), "-".as_ref()])?;
    let live = std::fs::read_to_string(folded)?;
    ensure!(again.stdout.join("\n") == live.trim_end(), "a recording says something else: {:?}", again.stdout);
    let summary = agent::run(["report".as_ref(), recording.as_os_str()])?.stdout;
    check_reached(&summary)?;
    match build {
        // Without symbols no function has a name, and task types have those of their vtables.
        Build::Stripped => check_sizes(&live, said),
        Build::Release | Build::FatLto => check_names(&live, said),
    }
}

/// An agent that stands still while the target does all of its work loses samples, which it counts, and no spawn:
/// samples leave room for those.
fn overrun() -> Result<()> {
    let scratch = Scratch::new()?;
    let (folded, recording) = (scratch.file("cpu.folded"), scratch.file("cpu.ascope"));
    let stand_still = |agent: &mut Agent| {
        agent.armed()?;
        agent.process.signal(libc::SIGSTOP)
    };
    let target = started(&mut Command::new(paths::burn(Build::Release)?))?;
    sampled(target, &folded, &recording, stand_still)?;
    let summary = agent::run(["report".as_ref(), recording.as_os_str()])?.stdout;
    let lost = summary.iter().find_map(|line| line.strip_prefix("events lost: ")).context("no line on losses")?;
    eprintln!("sampling: lost {lost}");
    ensure!(lost.contains("stack-dropped") && !lost.contains("ring-full"), "lost: {lost}");
    ensure!(!summary.iter().any(|line| line.starts_with("gaps: ")), "a gap: {summary:?}");
    let live = std::fs::read_to_string(&folded)?;
    let tasks = shares_of_tasks(&live)?.into_keys().map(|(task, _)| task);
    let tasks: BTreeSet<String> = tasks.filter(|task| task != "boss").collect();
    ensure!(!tasks.is_empty(), "no task was sampled: {live}");
    eprintln!("sampling: kept samples of {tasks:?}");
    Ok(())
}

/// Starts the target, which waits for its work then.
pub(crate) fn started(command: &mut Command) -> Result<Running> {
    let mut target = Running::start(command)?;
    target.stdout.until(|line| line == "ready", PATIENCE)?;
    Ok(target)
}

/// Lets the target work under the agent, which is `readied` before, and returns what the target counted.
pub(crate) fn sampled(
    mut target: Running,
    folded: &Path,
    recording: &Path,
    readied: impl FnOnce(&mut Agent) -> Result<()>,
) -> Result<Shares> {
    let pid = target.pid().to_string();
    let args = ["attach", &pid, "--mode", "sample", "--frequency", FREQUENCY].map(Into::into);
    let outputs =
        ["--folded".into(), folded.as_os_str().to_owned(), "--record".into(), recording.as_os_str().to_owned()];
    let mut agent = Agent::start(args.into_iter().chain(outputs))?;
    readied(&mut agent)?;
    target.say("go")?;
    target.stdout.until(|line| line == "done", PATIENCE)?;
    agent.process.signal(libc::SIGCONT)?;
    agent.interrupt()?;
    target.close_input();
    ensure!(target.wait(PATIENCE)?.success(), "the target failed");
    said(target.stdout.read())
}

/// The truth in what the target wrote.
fn said(lines: &[String]) -> Result<Shares> {
    let mut said = Shares::new();
    for line in lines.iter().filter(|line| line.starts_with('{')) {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let task = line["task"].as_str().context("no task")?.to_owned();
        for function in FUNCTIONS {
            let ns = line[function].as_u64().context("no time")?;
            said.insert((task.clone(), function.to_owned()), ns as f64);
        }
    }
    ensure!(said.len() == 4 * FUNCTIONS.len(), "the target said {said:?}");
    Ok(said)
}

/// What the summary says of stacks: `stacks of tasks: 996 of 1000 reached the poll function, …`.
pub(crate) fn check_reached(summary: &[String]) -> Result<()> {
    let line = summary.iter().find_map(|line| line.strip_prefix("stacks of tasks: ")).context("no line on stacks")?;
    eprintln!("sampling: {line}");
    let mut words = line.split_whitespace();
    let mut number = |at| words.nth(at).and_then(|word| word.parse::<u64>().ok()).context("no number");
    let (reached, all) = (number(0)?, number(1)?);
    ensure!(all > 1000, "only {all} samples");
    ensure!(reached * 100 >= all * REACHED_PERCENT, "of {all} stacks, only {reached} reached the poll function");
    Ok(())
}

/// Stacks with their counts.
pub(crate) fn stacks(folded: &str) -> Result<Vec<(Vec<&str>, f64)>> {
    folded
        .lines()
        .map(|line| {
            let (stack, count) = line.rsplit_once(' ').context("no count")?;
            Ok((stack.split(';').collect(), count.parse()?))
        })
        .collect()
}

/// By task type and by function.
fn check_names(folded: &str, said: &Shares) -> Result<()> {
    let seen = shares_of_tasks(folded)?;
    let both = |(task, function): &(String, String)| format!("{task} in {function}");
    compare("task types", &seen, said, |(task, _)| task.clone())?;
    compare("functions", &seen, said, |(_, function)| function.clone())?;
    compare("both", &seen, said, both)
}

/// The samples in tasks, each of which must stand under the one that spawned it.
fn shares_of_tasks(folded: &str) -> Result<Shares> {
    let mut seen = Shares::new();
    for (stack, count) in stacks(folded)? {
        let Some(at) = stack.iter().rposition(|frame| of_tasks(frame)) else { continue };
        let task = stack[at].trim_start_matches("burn::");
        let spawned_by_boss = at > 0 && stack[at - 1] == "burn::boss";
        ensure!(spawned_by_boss == (task != "old" && task != "boss"), "{stack:?} is under the wrong task");
        let function = stack[at..].iter().find_map(|frame| frame.strip_prefix("burn::work::")).unwrap_or("none");
        *seen.entry((task.to_owned(), function.to_owned())).or_default() += count;
    }
    Ok(seen)
}

fn of_tasks(frame: &str) -> bool {
    ["burn::heavy", "burn::middle", "burn::light", "burn::old", "burn::boss"].contains(&frame)
}

/// By task type, as many as there are, the largest first.
fn check_sizes(folded: &str, said: &Shares) -> Result<()> {
    let mut seen: BTreeMap<String, f64> = BTreeMap::new();
    for (stack, count) in stacks(folded)? {
        let Some(task) = stack.iter().rfind(|frame| frame.starts_with("task#")) else { continue };
        *seen.entry((*task).to_owned()).or_default() += count;
    }
    let mut expected: BTreeMap<String, f64> = BTreeMap::new();
    said.iter().for_each(|((task, _), ns)| *expected.entry(task.clone()).or_default() += ns);
    let sorted = |of: BTreeMap<String, f64>| {
        let mut sizes: Vec<f64> = of.into_values().collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        (0..).map(|at: u32| at.to_string()).zip(sizes).collect::<BTreeMap<_, _>>()
    };
    judge("task types by size", &sorted(seen), &sorted(expected))
}

fn compare(what: &str, seen: &Shares, said: &Shares, key: impl Fn(&(String, String)) -> String) -> Result<()> {
    let sums = |of: &Shares| {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        of.iter().for_each(|(of, count)| *sums.entry(key(of)).or_default() += count);
        sums
    };
    judge(what, &sums(seen), &sums(said))
}

pub(crate) fn judge(what: &str, seen: &BTreeMap<String, f64>, said: &BTreeMap<String, f64>) -> Result<()> {
    let (n, all): (f64, f64) = (seen.values().sum(), said.values().sum());
    let mut chi_square = 0.0;
    for (key, ns) in said {
        let (part, count) = (ns / all, seen.get(key).copied().unwrap_or(0.0));
        let (expected, deviation) = (n * part, (n * part * (1.0 - part)).sqrt());
        chi_square += if expected > 0.0 { (count - expected).powi(2) / expected } else { 0.0 };
        eprintln!("sampling: {what}: {key}: {count} of {n} samples, {expected:.1} expected");
        ensure!(
            (count - expected).abs() <= SIGMAS * deviation + 1.0,
            "{what}: {key} has {count} of {n} samples, and counted {part:.4} of the time"
        );
    }
    eprintln!(
        "sampling: {what}: chi-square {chi_square:.1} over {} parts",
        said.values().filter(|ns| **ns > 0.0).count()
    );
    Ok(())
}
