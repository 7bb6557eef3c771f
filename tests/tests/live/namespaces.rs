//! Targets in namespaces and on file systems of their own, as in containers.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;

use crate::{Case, Test, named, scenarios};

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("pid_from_outside", pid_from_outside),
        ("pid_from_inside", pid_from_inside),
        ("user", user),
        ("network", network),
        ("overlay", overlay),
    ];
    named("namespaces", tests)
}

/// A target under `unshare` with these options.
fn unshared(options: &[&str], scenario: &str) -> Result<Target> {
    let mut command = Command::new("unshare");
    command.args(options).arg(paths::truth()?).arg(scenario);
    Target::start_command(&mut command, scenario)
}

/// The one child of a process: what `unshare --fork` started.
fn child_of(pid: u32) -> Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut ids = children.split_ascii_whitespace();
    let id = ids.next().context("no child")?;
    ensure!(ids.next().is_none(), "several children: {children}");
    Ok(id.parse()?)
}

fn seen_with(mut target: Target, whom: &[&str], name: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut args: Vec<_> = ["attach", "--json"].map(Into::into).to_vec();
    args.push(json.clone().into_os_string());
    args.extend(whom.iter().map(Into::into));
    let mut agent = Agent::start(args)?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    scenarios::judge_without_threads(name, &target.finish()?, &Seen::read(&json)?)
}

fn pid_from_outside() -> Result<()> {
    let target = unshared(&["--pid", "--fork", "--mount-proc"], "multi_thread")?;
    let pid = child_of(target.process.pid())?.to_string();
    seen_with(target, &[&pid], "namespaces::pid_from_outside")
}

/// It is process 1 of its own namespace.
fn pid_from_inside() -> Result<()> {
    let target = unshared(&["--pid", "--fork", "--mount-proc"], "multi_thread")?;
    let member = child_of(target.process.pid())?.to_string();
    seen_with(target, &["1", "--pid-namespace", &member], "namespaces::pid_from_inside")
}

fn user() -> Result<()> {
    let (truth, seen) = trial::attached(unshared(&["--user", "--map-root-user"], "multi_thread")?, &[])?;
    scenarios::judge("namespaces::user", &truth, &seen)
}

/// Nothing is reached in a new one, not even the own loopback: a scenario without sockets.
fn network() -> Result<()> {
    let (truth, seen) = trial::attached(unshared(&["--net"], "many_sites")?, &[])?;
    scenarios::judge("namespaces::network", &truth, &seen)
}

/// The executable is in the lower layer of a file system that only the target sees.
fn overlay() -> Result<()> {
    let scratch = Scratch::new()?;
    let directory = scratch.file("layers");
    fs::create_dir(&directory)?;
    let script = "mount -t tmpfs none \"$1\" && cd \"$1\" && mkdir lower upper work merged && cp \"$0\" lower/truth && \
                  mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && \
                  exec merged/truth multi_thread";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(paths::truth()?).arg(&directory);
    let target = Target::start_command(&mut command, "multi_thread")?;
    ensure!(!Path::new(&directory).join("merged").exists(), "the mount is seen from outside");
    let (truth, seen) = trial::attached(target, &[])?;
    scenarios::judge("namespaces::overlay", &truth, &seen)
}
