//! A tokio in a library of a program that has none itself, as in extensions of Python and addons of Node.js.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::process::Running;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_tests::truth::Truth;
use asyncscope_tests::{hosted, paths, trial};

use crate::life::nothing_left;
use crate::{Case, Test, named, scenarios};

/// What is waited for comes by itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// Scenarios that the truth program plays as a library.
const ATTACHED: [&str; 7] =
    ["multi_thread", "current_thread", "blocking", "several_runtimes", "panics", "before_attach", "many_sites"];

pub(crate) fn tests() -> Vec<(String, Test)> {
    let attach = |scenario| {
        let test: Test = Box::new(move || attached(scenario));
        (format!("hosted::{scenario}"), test)
    };
    let others: &[(&str, Case)] = &[
        ("one_by_one", one_by_one),
        ("run", run),
        ("run_in_vain", run_in_vain),
        ("forked", forked),
        ("unloaded", unloaded),
        ("inspect", inspect),
        ("sampling", sampling),
    ];
    ATTACHED.into_iter().map(attach).chain(named("hosted", others)).collect()
}

fn start(scenario: &str) -> Result<Target> {
    Target::start_command(hosted::command()?.arg(scenario), scenario)
}

fn attached(scenario: &str) -> Result<()> {
    let (truth, seen) = trial::attached(start(scenario)?, &[])?;
    scenarios::judge(&format!("hosted::{scenario}"), &truth, &seen)
}

fn one_by_one() -> Result<()> {
    let (truth, seen) = trial::attached(start("multi_thread")?, &["--one-by-one"])?;
    scenarios::judge("hosted::one_by_one", &truth, &seen)
}

/// Started by the agent, it is watched from the moment at which the library is there.
fn run() -> Result<()> {
    let (scratch, objects) = (Scratch::new()?, bpf_objects()?);
    let json = scratch.file("events.json");
    let mut agent = agent_runs(&["--json".into(), json.display().to_string()])?;
    agent.stderr.until(|line| line.starts_with("recording "), PATIENCE)?;
    agent.say("go")?;
    agent.stdout.until(|line| line == "done", PATIENCE)?;
    agent.close_input();
    let status = agent.wait(PATIENCE)?;
    ensure!(status.success(), "the agent ended with {status}");
    let truth = Truth::parse(agent.stdout.all(PATIENCE))?;
    nothing_left(&objects)?;
    scenarios::judge("hosted::run", &truth, &Seen::read(&json)?)
}

/// The agent, which starts the host with the scenario `multi_thread`.
fn agent_runs(options: &[String]) -> Result<Running> {
    let host = hosted::command()?;
    let mut agent = Command::new(paths::agent()?);
    agent.envs(host.get_envs().filter_map(|(name, value)| Some((name, value?))));
    agent.arg("run").args(options).arg("--").arg(host.get_program()).arg("multi_thread");
    Running::start(&mut agent)
}

/// A program that loads no library with a tokio ends before one is found, which is said.
fn run_in_vain() -> Result<()> {
    let ended = agent::run(["run", "--", "sleep", "0.3"])?;
    let said = ended.stderr.join("\n");
    ensure!(ended.code == Some(1) && said.contains("loaded no library that has one before it ended"), "{said}");
    Ok(())
}

/// The work is a child's: it is named where its parent is watched, and can be watched itself.
fn forked() -> Result<()> {
    let target = Target::start_command(hosted::command()?.arg("multi_thread").env("HOSTED_FORKS", "1"), "forked")?;
    let ready = target.process.stdout.read().iter().find_map(|line| line.strip_prefix("ready ")).map(str::to_owned);
    let child = ready.context("no ready line")?;
    let parent = target.process.pid().to_string();
    ensure!(child != parent, "nothing was forked");
    let ended = agent::run(["attach", &parent, "--duration", "100ms"])?;
    let said = ended.stderr.join("\n");
    ensure!(said.contains(&format!("process {child}, which it started, has a tokio")), "{said}");
    let (truth, seen) = trial::attached_to(&child, target, &[])?;
    scenarios::judge("hosted::forked", &truth, &seen)
}

/// The library is unloaded while it is watched: that is said, the recording has all until then, and the host goes on.
fn unloaded() -> Result<()> {
    let (scratch, objects) = (Scratch::new()?, bpf_objects()?);
    let json = scratch.file("events.json");
    let mut command = hosted::command()?;
    let Target { mut process } =
        Target::start_command(command.arg("multi_thread").env("HOSTED_UNLOADS", "1"), "unloaded")?;
    let mut agent = Agent::start(["attach", &process.pid().to_string(), "--json", &json.display().to_string()])?;
    agent.armed()?;
    process.say("go")?;
    process.stdout.until(|line| line == "done", PATIENCE)?;
    process.close_input();
    process.stderr.until(|line| line == "unloaded", PATIENCE)?;
    let ended = agent.succeed()?;
    let said = ended.stderr.join("\n");
    ensure!(said.contains("libhosted.so was unloaded by process"), "{said}");
    nothing_left(&objects)?;
    process.signal(libc::SIGUSR1)?;
    let status = process.wait(PATIENCE)?;
    ensure!(status.success(), "the host ended with {status}");
    let truth = Truth::parse(process.stdout.all(PATIENCE))?;
    scenarios::judge("hosted::unloaded", &truth, &Seen::read(&json)?)
}

/// It is told which library is looked at, also of a process that runs on.
fn inspect() -> Result<()> {
    let target = start("multi_thread")?;
    let reported = agent::run(["inspect", &target.process.pid().to_string()])?;
    let all = reported.stdout.join("\n");
    ensure!(reported.stdout.first().is_some_and(|line| line.ends_with("libhosted.so")), "{all}");
    ensure!(all.contains("starts of polls") && all.contains("libhosted.so: task vtable by shape"), "{all}");
    Ok(())
}

/// What is not proved of a library is refused with its reason.
fn sampling() -> Result<()> {
    let target = start("multi_thread")?;
    let ended = Agent::start(["attach", &target.process.pid().to_string(), "--mode", "sample"])?.exit()?;
    let said = ended.stderr.join("\n");
    ensure!(ended.code == Some(1) && said.contains("this tokio is a library's"), "{said}");
    Ok(())
}
