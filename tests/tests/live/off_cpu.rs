//! Off-CPU time inside polls, compared with tasks that know how often they blocked, and for how long at least.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use serde_json::Value;

use crate::Test;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<(String, Test)> {
    let cases: &[(&str, crate::Case)] = &[
        ("which_tasks_and_how_often", observed),
        ("is_not_reported_where_not_asked_for", unobserved),
        ("in_asyncscope_s_own_trap", trapped),
    ];
    crate::named("off_cpu", cases)
}

/// What a task says of itself.
#[derive(Debug)]
struct Reported {
    name: String,
    task: u64,
    /// Its polls that were off the CPU for at least `least_ns`.
    times: usize,
    least_ns: u64,
}

fn reported(line: &str) -> Option<Result<Reported>> {
    let words: Vec<&str> = line.strip_prefix("blocks ")?.split(' ').collect();
    let [name, task, times, least] = words[..] else { return Some(Err(anyhow::anyhow!("what is {line:?}?"))) };
    let parse = || {
        let (task, times, least_ns) = (task.parse()?, times.parse()?, least.parse()?);
        Ok(Reported { name: name.to_owned(), task, times, least_ns })
    };
    Some(parse())
}

/// What was recorded, as JSON lines, and what the tasks say.
fn watched(scratch: &Scratch, options: &[&str]) -> Result<(Vec<Reported>, Vec<Value>)> {
    let mut target = Running::start(Command::new(paths::waits()?).arg("blocks"))?;
    target.stdout.until(|line| line == "started", PATIENCE).context("the target does not start")?;
    let (pid, json, record) = (target.pid().to_string(), path(scratch, "json"), path(scratch, "ascope"));
    let outputs = ["attach", &pid, "--json", &json, "--record", &record, "--folded", &path(scratch, "folded")];
    let mut agent = Agent::start(outputs.iter().chain(options))?;
    agent.armed()?;
    target.say("go")?;
    target.stdout.until(|line| line.starts_with("ready "), PATIENCE).context("the target does not get through")?;
    agent.interrupt()?;
    let reported = target.stdout.read().iter().filter_map(|line| reported(line)).collect::<Result<_>>()?;
    let again = path(scratch, "again");
    Agent::start(["report", &record, "--json", &again])?.succeed()?;
    let lines = std::fs::read_to_string(&json)?;
    ensure!(std::fs::read_to_string(&again)? == lines, "the recording says otherwise");
    let lines = lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
    Ok((reported, lines))
}

fn path(scratch: &Scratch, name: &str) -> String {
    scratch.file(name).display().to_string()
}

fn of<'a>(lines: &'a [Value], kind: &str, task: u64) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["kind"] == kind && line["task"] == task)
}

/// A sleep, a lock, a pipe, a blocking closure, and one that is off the CPU when the recording ends.
fn observed() -> Result<()> {
    let scratch = Scratch::new()?;
    let (reported, lines) = watched(&scratch, &["--off-cpu"])?;
    ensure!(reported.len() == 7, "{reported:?}");
    let mut off_cpu = BTreeMap::new();
    for Reported { name, task, times, least_ns } in &reported {
        let long = of(&lines, "poll", *task).filter(|poll| poll["off_cpu_ns"].as_u64() >= Some(*least_ns)).count();
        let line = of(&lines, "task", *task).next().with_context(|| format!("task {task} was not seen"))?;
        ensure!(long == *times, "{name}: {long} polls were off the CPU, not {times}");
        let number = |field: &str| line[field].as_u64().with_context(|| format!("no {field} in {line}"));
        let total = number("off_cpu_ns")?;
        ensure!(total >= *least_ns * *times as u64 && total <= number("busy_ns")?, "{name}: {line}");
        let (all, polls) = (number("running_ns")? + total, of(&lines, "poll", *task));
        let took: u64 = polls.filter_map(|poll| Some(poll["end_ns"].as_u64()? - poll["start_ns"].as_u64()?)).sum();
        ensure!(all >= took, "{name}: running and off the CPU are less than its polls: {line}");
        off_cpu.insert(*task, (name.as_str(), long));
    }
    eprintln!("off-CPU:  {off_cpu:?}");
    let expected: BTreeSet<u64> =
        reported.iter().filter(|reported| reported.times > 0).map(|reported| reported.task).collect();
    let least_ns = reported.iter().map(|reported| reported.least_ns).max().unwrap_or(0);
    let polls = lines.iter().filter(|line| line["kind"] == "poll" && line["off_cpu_ns"].as_u64() >= Some(least_ns));
    let seen: BTreeSet<u64> = polls.filter_map(|poll| poll["task"].as_u64()).collect();
    ensure!(seen == expected, "off-CPU:  {seen:?}, but {expected:?} say so");
    let folded = std::fs::read_to_string(path(&scratch, "folded"))?;
    ensure!(folded.contains("waits::blocks::sleeps;[off-CPU] "), "{folded}");
    let stuck = reported.iter().find(|reported| reported.name == "stuck").context("no task is stuck")?;
    let poll = of(&lines, "long-poll", stuck.task).next().context("no long poll of the task that is stuck")?;
    let file = poll["off_cpu_in"]["file"].as_str().unwrap_or_default();
    ensure!(poll["end_ns"].is_null() && file.ends_with("waits/src/blocks.rs"), "{poll}");
    Ok(())
}

/// Not 0: not known.
fn unobserved() -> Result<()> {
    let scratch = Scratch::new()?;
    let (reported, lines) = watched(&scratch, &[])?;
    ensure!(reported.len() == 7, "{reported:?}");
    for line in lines.iter().filter(|line| line["kind"] == "task" || line["kind"] == "poll") {
        ensure!(line.get("off_cpu_ns") == Some(&Value::Null), "{line}");
    }
    let folded = std::fs::read_to_string(path(&scratch, "folded"))?;
    ensure!(!folded.contains("[off-CPU]"), "{folded}");
    Ok(())
}

/// A task that makes no system call, while another thread of its process keeps the lock of the address space that
/// the kernel takes for a hook.
fn trapped() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut target = Running::start(Command::new(paths::waits()?).arg("maps"))?;
    target.stdout.until(|line| line == "started", PATIENCE).context("the target does not start")?;
    let (pid, json, record) = (target.pid().to_string(), path(&scratch, "json"), path(&scratch, "ascope"));
    let folded = path(&scratch, "folded");
    let outputs = ["attach", &pid, "--off-cpu", "--json", &json, "--record", &record, "--folded", &folded];
    let mut agent = Agent::start(outputs)?;
    agent.armed()?;
    target.say("go")?;
    target.stdout.until(|line| line.starts_with("ready "), PATIENCE).context("the target does not get through")?;
    agent.interrupt()?;
    let reported = target.stdout.read();
    let task = reported.iter().find_map(|line| line.strip_prefix("wakes ")).context("the target names no task")?;
    let task: u64 = task.parse()?;
    let lines = std::fs::read_to_string(&json)?;
    let lines: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let of_task = of(&lines, "task", task).next().context("the task was not seen")?;
    let number = |field: &str| of_task[field].as_u64().with_context(|| format!("no {field} in {of_task}"));
    ensure!(number("trap_ns")? > 0 && number("trap_ns")? <= number("off_cpu_ns")?, "{of_task}");
    eprintln!("in the trap: {} of {} ns off the CPU", number("trap_ns")?, number("off_cpu_ns")?);
    for poll in of(&lines, "long-poll", task) {
        let file = poll["off_cpu_in"]["file"].as_str().unwrap_or_default();
        ensure!(!file.ends_with("waits/src/maps.rs"), "{poll}");
    }
    let table =
        Agent::start(["report", &record, "--long-polls", "--long-poll-min", "0us"])?.succeed()?.stdout.join("\n");
    ensure!(table.contains("off the CPU in asyncscope's own trap for "), "{table}");
    ensure!(!table.contains("off the CPU in waits::"), "{table}");
    let stacks = std::fs::read_to_string(&folded)?;
    ensure!(stacks.contains("waits::maps::wakes;[in asyncscope's own trap] "), "{stacks}");
    Ok(())
}
