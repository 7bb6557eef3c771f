//! What the agent may do: enough with three capabilities, little once attached, never more than its caller.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{Agent, Ended};
use asyncscope_tests::compare::{Rules, compare};
use asyncscope_tests::kernel;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;

use crate::{Case, Test, named};

const CAPABILITIES: &str = "+bpf,+perfmon,+sys_ptrace";
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/capability.h>
const SYS_PTRACE: u64 = 1 << 19;

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("three_capabilities_are_enough", three_capabilities_are_enough),
        ("little_is_left_once_attached", little_is_left_once_attached),
        ("file_capabilities_lend_nothing", file_capabilities_lend_nothing),
        ("recordings_are_their_owners", recordings_are_their_owners),
        ("sudo_leaves_files_to_its_user", sudo_leaves_files_to_its_user),
    ];
    named("privileges", tests)
}

/// A directory that everybody can use, with a copy of the agent in it.
pub(crate) fn everybodys() -> Result<(Scratch, PathBuf)> {
    let scratch = Scratch::new()?;
    let agent = scratch.file("asyncscope");
    fs::copy(paths::agent()?, &agent)?;
    fs::set_permissions(scratch.file(""), fs::Permissions::from_mode(0o777))?;
    Ok((scratch, agent))
}

pub(crate) fn as_user(user: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    command
}

/// An ordinary user with three capabilities sees root's target: every task, poll and wake of it.
fn three_capabilities_are_enough() -> Result<()> {
    let (scratch, agent) = everybodys()?;
    let json = scratch.file("events.json");
    let mut target = Target::start("multi_thread")?;
    let mut command = as_user(65534);
    command.args([format!("--inh-caps={CAPABILITIES}"), format!("--ambient-caps={CAPABILITIES}"), "--".to_owned()]);
    command.arg(&agent).args(["attach", &target.process.pid().to_string(), "--json"]).arg(&json);
    let mut agent = Agent { process: Running::start(&mut command)? };
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    let (truth, seen) = (target.finish()?, Seen::read(&json)?);
    // Where a thread was at the attach is for the target's owner to read.
    let rules = Rules { unknown_parents: true, threads: kernel::in_initial_pid_namespace(), ..Rules::default() };
    let result = compare(&truth, &seen, rules);
    eprintln!("privileges::three_capabilities_are_enough: {result}");
    ensure!(!truth.tasks.is_empty() && result.tasks >= truth.tasks.len(), "{} tasks seen", result.tasks);
    result.mistakes.is_empty().then_some(()).with_context(|| result.to_string())
}

/// Every thread of it: one capability, no way to new ones, and a filter on system calls.
fn little_is_left_once_attached() -> Result<()> {
    let target = Target::start("idle")?;
    let pid = target.process.pid().to_string();
    let mut agent = Agent::start(["attach", &pid, "--folded", "/dev/null"])?;
    agent.armed()?;
    let threads = fs::read_dir(format!("/proc/{}/task", agent.process.pid()))?;
    let mut looked_at = 0;
    for thread in threads {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let field = |name: &str| -> Result<&str> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.with_context(|| format!("no {name}"))?.trim())
        };
        for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
            let held = u64::from_str_radix(field(set)?, 16)?;
            ensure!(held & !SYS_PTRACE == 0, "{set} {held:x}");
        }
        ensure!(field("NoNewPrivs:")? == "1" && field("Seccomp:")? == "2", "not locked down: {status}");
        looked_at += 1;
    }
    ensure!(looked_at > 0, "no thread");
    agent.interrupt().map(drop)
}

/// Gives the agent's file the capabilities that an attach takes.
pub(crate) fn lend_capabilities(agent: &Path) -> Result<()> {
    let set = Command::new("setcap").arg("cap_bpf,cap_perfmon,cap_sys_ptrace+ep").arg(agent).status();
    ensure!(set.context("cannot run setcap")?.success(), "setcap fails");
    Ok(())
}

/// With capabilities on its file, everybody can run it: then it shows nobody what is not theirs.
fn file_capabilities_lend_nothing() -> Result<()> {
    let (scratch, agent) = everybodys()?;
    lend_capabilities(&agent)?;
    let truth = scratch.file("truth");
    fs::copy(paths::truth()?, &truth)?;
    let as_nobody = |args: &[&str]| -> Result<Ended> {
        let mut command = as_user(65534);
        // Of a loader of its own a user could make a reader of the kernel's memory.
        command.arg(&agent).args(args).env("ASYNCSCOPE_BPF_OBJECT", "/dev/null");
        Agent { process: Running::start(&mut command)? }.exit()
    };
    let mut roots = Target::start("idle")?;
    let pid = roots.process.pid().to_string();
    let brief = ["--duration", "50ms", "--folded", "/dev/null"];
    for args in [&[&["attach", &pid][..], &brief].concat()[..], &["dump", &pid], &["inspect", &pid]] {
        let refused = as_nobody(args)?;
        let said = refused.stderr.join("\n");
        ensure!(refused.code == Some(1) && said.contains("not yours"), "{args:?}: {:?}: {said}", refused.code);
        ensure!(refused.stdout.is_empty(), "{args:?}: {:?}", refused.stdout);
    }
    ensure!(roots.process.alive()?, "the target is gone");
    let own = Target::start_command(as_user(65534).arg(&truth).arg("idle"), "idle")?;
    let pid = own.process.pid().to_string();
    for args in [&[&["attach", &pid][..], &brief].concat()[..], &["dump", &pid], &["inspect", &pid]] {
        let allowed = as_nobody(args)?;
        ensure!(allowed.code == Some(0), "{args:?}: {:?}: {:?}", allowed.code, allowed.stderr);
    }
    Ok(())
}

fn recordings_are_their_owners() -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("events.ascope");
    attach_briefly(&record, &[])?;
    let mode = fs::metadata(&record)?.mode() & 0o777;
    ensure!(mode == 0o600, "mode {mode:o}");
    Ok(())
}

fn sudo_leaves_files_to_its_user() -> Result<()> {
    let scratch = Scratch::new()?;
    let record = scratch.file("events.ascope");
    attach_briefly(&record, &[("SUDO_UID", "65534"), ("SUDO_GID", "65533")])?;
    let metadata = fs::metadata(&record)?;
    ensure!((metadata.uid(), metadata.gid()) == (65534, 65533), "{}:{}", metadata.uid(), metadata.gid());
    Ok(())
}

fn attach_briefly(record: &Path, environment: &[(&str, &str)]) -> Result<()> {
    let target = Target::start("idle")?;
    let mut command = Command::new(paths::agent()?);
    command.args(["attach", &target.process.pid().to_string(), "--duration", "50ms", "--record"]).arg(record);
    command.envs(environment.iter().copied());
    let mut process = Running::start(&mut command)?;
    let status = process.wait(Duration::from_secs(30))?;
    ensure!(status.success(), "{status}");
    Ok(())
}
