//! Long polls and the tasks that they delayed, compared task by task with what the tasks saw of each other.

use std::collections::BTreeSet;
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
    crate::named("long_polls", &[("who_delayed_whom", delayed), ("and_where_they_were_off_cpu", off_cpu)])
}

/// What a handler says: its task, the line in which it sleeps, and the tasks that it delayed.
#[derive(Debug)]
struct Reported {
    task: u64,
    line: u64,
    delayed: BTreeSet<u64>,
}

fn reported(line: &str) -> Option<Result<Reported>> {
    let words: Vec<&str> = line.strip_prefix("holds ")?.split(' ').collect();
    let [task, line, delayed] = words[..] else { return Some(Err(anyhow::anyhow!("what is {line:?}?"))) };
    let parse = || {
        let delayed =
            delayed.split(',').filter(|id| !id.is_empty()).map(|id| Ok(id.parse()?)).collect::<Result<_>>()?;
        Ok(Reported { task: task.parse()?, line: line.parse()?, delayed })
    };
    Some(parse())
}

/// What the handlers say, the JSON lines, and the table.
fn watched(scratch: &Scratch, options: &[&str]) -> Result<(Vec<Reported>, Vec<Value>, String)> {
    let mut target = Running::start(Command::new(paths::waits()?).arg("holds"))?;
    target.stdout.until(|line| line == "started", PATIENCE).context("the target does not start")?;
    let (pid, record) = (target.pid().to_string(), scratch.file("ascope").display().to_string());
    let mut agent = Agent::start(["attach", &pid, "--record", &record].iter().chain(options))?;
    agent.armed()?;
    target.say("go")?;
    target.stdout.until(|line| line.starts_with("ready "), PATIENCE).context("the target does not get through")?;
    agent.interrupt()?;
    let reported: Vec<Reported> =
        target.stdout.read().iter().filter_map(|line| reported(line)).collect::<Result<_>>()?;
    ensure!(reported.len() == 10 && reported.iter().any(|reported| !reported.delayed.is_empty()), "{reported:?}");
    let json = scratch.file("json").display().to_string();
    Agent::start(["report", &record, "--json", &json])?.succeed()?;
    let lines = std::fs::read_to_string(&json)?;
    let lines = lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
    let table = Agent::start(["report", &record, "--long-polls", "--long-poll-min", "10ms"])?.succeed()?;
    Ok((reported, lines, table.stdout.join("\n")))
}

/// The long poll of a handler: it has one.
fn long_poll(lines: &[Value], task: u64) -> Result<&Value> {
    let mut of = lines.iter().filter(|line| line["kind"] == "long-poll" && line["task"] == task);
    let poll = of.next().with_context(|| format!("no long poll of task {task}"))?;
    ensure!(of.next().is_none(), "task {task} has several long polls");
    Ok(poll)
}

fn compared(reported: &[Reported], lines: &[Value]) -> Result<()> {
    for Reported { task, delayed, .. } in reported {
        let poll = long_poll(lines, *task)?;
        let seen = poll["delayed"].as_array().context("no list")?;
        let seen: BTreeSet<u64> = seen.iter().filter_map(|delayed| delayed["task"].as_u64()).collect();
        ensure!(seen == *delayed, "task {task} delayed {seen:?}, and it was {delayed:?}");
    }
    eprintln!("delayed: {:?}", reported.iter().map(|reported| reported.delayed.len()).collect::<Vec<_>>());
    Ok(())
}

/// The table names the handler first, and beside it the tasks behind it.
fn delayed() -> Result<()> {
    let scratch = Scratch::new()?;
    let (reported, lines, table) = watched(&scratch, &[])?;
    compared(&reported, &lines)?;
    let first = table.lines().find(|line| line.contains("::")).context("an empty table")?;
    ensure!(first.ends_with("waits::holds::handler"), "{table}");
    ensure!(table.contains("delayed waits::holds::behind: "), "{table}");
    Ok(())
}

/// With --off-cpu there is a stack: the function, its file and line.
fn off_cpu() -> Result<()> {
    let scratch = Scratch::new()?;
    let (reported, lines, table) = watched(&scratch, &["--off-cpu"])?;
    compared(&reported, &lines)?;
    for Reported { task, line, .. } in &reported {
        let place = &long_poll(&lines, *task)?["off_cpu_in"];
        let file = place["file"].as_str().unwrap_or_default();
        ensure!(file.ends_with("waits/src/holds.rs") && place["line"] == *line, "task {task}: {place}");
        ensure!(place["name"].as_str().is_some_and(|name| name.contains("handler")), "{place}");
    }
    let place = format!("waits/src/holds.rs:{}", reported.first().context("nothing reported")?.line);
    ensure!(table.contains(&place), "{table}");
    Ok(())
}
