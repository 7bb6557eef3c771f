//! Two tokios in one process, whose tasks have the same ids: those of the executable's are reported as they were, the
//! other ones' are not, and it is said that they are there.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::guests::{self, OTHER_VERSION};
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;

use crate::life::nothing_left;
use crate::{Case, Test, named, scenarios};

/// A guest that spawned fewer tasks was hardly there.
const TASKS_MIN: u64 = 100;
/// What begins every sentence about it.
const SAID: &str = "not all of its tasks are seen: ";

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("loaded_before", loaded_before),
        ("loaded_meanwhile", loaded_meanwhile),
        ("another_version", another_version),
        ("inspect", inspect),
    ];
    named("guests", tests)
}

/// The truth program, which loads the library.
fn loads(scenario: &str) -> Result<Target> {
    let mut command = Command::new(paths::truth()?);
    command.arg(scenario).env("TRUTH_GUEST", guests::library()?);
    Target::start_command(&mut command, scenario)
}

/// The library is there before the attach, and hard at work.
fn loaded_before() -> Result<()> {
    let said = watched("loaded_before", loads("guest_early")?)?;
    of_the_library(&said)
}

/// It is loaded while the hooks are there.
fn loaded_meanwhile() -> Result<()> {
    let said = watched("loaded_meanwhile", loads("guest_late")?)?;
    of_the_library(&said)
}

fn of_the_library(said: &str) -> Result<()> {
    ensure!(said.contains("libguest.so") && said.contains("of its own"), "it is said: {said}");
    Ok(())
}

/// Both are linked into the executable.
fn another_version() -> Result<()> {
    let target = Target::start_as(&guests::two_tokios()?, "guest_early")?;
    let said = watched("another_version", target)?;
    ensure!(said.contains("more than one tokio") && said.contains(OTHER_VERSION), "it is said: {said}");
    Ok(())
}

/// Compares the tasks of the target's own tokio, of which nothing may be missing and to which nothing may be
/// added, and returns what is said of the other.
fn watched(name: &str, mut target: Target) -> Result<String> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let objects = bpf_objects()?;
    let pid = target.process.pid().to_string();
    let mut agent = Agent::start(["attach".as_ref(), pid.as_ref(), "--json".as_ref(), json.as_os_str()])?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    let ended = agent.interrupt()?;
    let truth = target.finish()?;
    ensure!(truth.guests >= TASKS_MIN, "the guest spawned {} tasks", truth.guests);
    let seen = Seen::read(&json)?;
    let strange = seen.tasks.values().find(|task| task.name.contains("guest::"));
    ensure!(strange.is_none(), "a task of the guest's: {strange:?}");
    eprintln!("guests::{name}: {} tasks of the other tokio", truth.guests);
    scenarios::judge(&format!("guests::{name}"), &truth, &seen)?;
    nothing_left(&objects)?;
    let mut said = ended.stderr.iter().filter_map(|line| line.strip_prefix(SAID));
    let sentence = said.next().with_context(|| format!("nothing is said of the other: {:?}", ended.stderr))?;
    ensure!(said.next().is_none(), "it is said twice: {:?}", ended.stderr);
    Ok(sentence.to_owned())
}

/// It reports both kinds without an attach.
fn inspect() -> Result<()> {
    let target = loads("guest_early")?;
    let pid = target.process.pid().to_string();
    let reported = agent::run(["inspect", &pid])?;
    of_the_library(&reported.stdout.join("\n"))?;
    let reported = agent::run(["inspect".as_ref(), guests::two_tokios()?.as_os_str()])?;
    let reported = reported.stdout.join("\n");
    ensure!(reported.contains("more than one tokio") && reported.contains(OTHER_VERSION), "{reported}");
    Ok(())
}
