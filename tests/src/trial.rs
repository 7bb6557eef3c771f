//! One scenario of a target, seen by the agent: attached to, or run from its first instruction on.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::agent::Agent;
use crate::paths::Scratch;
use crate::seen::Seen;
use crate::target::Target;
use crate::truth::Truth;

/// Returns what a target lived, and what an agent saw of it that was attached with these options.
///
/// # Errors
///
/// If the target or the agent fails.
pub fn attached(target: Target, options: &[&str]) -> Result<(Truth, Seen)> {
    attached_to(&target.process.pid().to_string(), target, options)
}

/// Returns the same of another process that lives it, such as a child of the target's.
///
/// # Errors
///
/// As [`attached`].
pub fn attached_to(pid: &str, mut target: Target, options: &[&str]) -> Result<(Truth, Seen)> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut args: Vec<OsString> = vec!["attach".into(), pid.into()];
    args.extend(["--json".into(), json.clone().into()]);
    args.extend(["--record".into(), scratch.file("events.ascope").into()]);
    args.extend(options.iter().map(Into::into));
    let mut agent = Agent::start(args)?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    Ok((target.finish()?, Seen::read(&json)?))
}

/// Returns what a truth program lived that the agent started, and what it saw of it.
///
/// # Errors
///
/// If either fails, or the hooks were armed too late.
pub fn run(target: &Path, args: &[&str]) -> Result<(Truth, Seen)> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut command: Vec<OsString> = vec!["run".into(), "--json".into(), json.clone().into(), "--".into()];
    command.push(target.into());
    command.extend(args.iter().chain(&["--immediately"]).map(Into::into));
    let ended = Agent::start(command)?.succeed()?;
    ensure!(ended.stdout.last().is_some_and(|line| line == "done"), "the target did not finish");
    let truth = Truth::parse(&ended.stdout)?;
    let seen = Seen::read(&json)?;
    let early = truth.tasks.values().filter(|task| task.spawn.t0 < seen.recording.armed.monotonic_ns);
    ensure!(early.count() == 0, "armed only after the first spawns");
    Ok((truth, seen))
}
