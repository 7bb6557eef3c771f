//! Bad input gets one sentence, exit code 1, and leaves nothing behind; bad usage gets 2.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent};
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_tests::target::Target;

use crate::{Case, Test, named};

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("no_such_pid", no_such_pid),
        ("no_such_name", no_such_name),
        ("two_of_a_name", two_of_a_name),
        ("no_tokio", no_tokio),
        ("unwritable_output", unwritable_output),
        ("not_a_recording", not_a_recording),
        ("a_later_version", a_later_version),
        ("a_damaged_recording", a_damaged_recording),
        ("usage", usage),
        ("not_permitted", not_permitted),
        ("not_an_executable", not_an_executable),
        ("inspect_without_root", inspect_without_root),
    ];
    named("bad_input", tests)
}

/// The agent refuses: code 1 and one line, with these words, and no file in `scratch` but `there`.
fn refused<A: AsRef<OsStr>>(scratch: &Scratch, args: &[A], words: &[&str], there: &[&str]) -> Result<()> {
    let ended = agent::run(args)?;
    ensure!(ended.code == Some(1), "exit code {:?}: {:?}", ended.code, ended.stderr);
    let [sentence] = ended.stderr.as_slice() else {
        anyhow::bail!("not one line: {:?}", ended.stderr);
    };
    let missing: Vec<_> = words.iter().filter(|word| !sentence.contains(**word)).collect();
    ensure!(missing.is_empty(), "no word of {missing:?} in: {sentence}");
    let mut files = scratch.files()?;
    files.retain(|file| !there.contains(&file.as_str()));
    ensure!(files.is_empty(), "left behind: {files:?}");
    Ok(())
}

/// An attach to `whom` with every output into `scratch`.
fn attach(scratch: &Scratch, whom: &str, words: &[&str], there: &[&str]) -> Result<()> {
    let mut args = vec!["attach".into(), whom.into()];
    for (option, file) in [("--json", "o.json"), ("--record", "o.ascope"), ("--folded", "o.folded")] {
        args.extend([option.into(), scratch.file(file).into_os_string()]);
    }
    refused(scratch, &args, words, there)
}

fn no_such_pid() -> Result<()> {
    let mut gone = Running::start(&mut Command::new("true"))?;
    gone.wait(Duration::from_secs(5))?;
    let pid = gone.pid().to_string();
    attach(&Scratch::new()?, &pid, &[&pid], &[])
}

fn no_such_name() -> Result<()> {
    attach(&Scratch::new()?, "no-such-name-91", &["no-such-name-91"], &[])
}

/// Both are listed by their ids.
fn two_of_a_name() -> Result<()> {
    let scratch = Scratch::new()?;
    let name = format!("twin-{}", std::process::id());
    let binary = scratch.file(&name);
    fs::copy(paths::truth()?, &binary)?;
    let twins = [Target::start_as(&binary, "idle")?, Target::start_as(&binary, "idle")?];
    let pids = twins.each_ref().map(|twin| twin.process.pid().to_string());
    attach(&scratch, &name, &[&pids[0], &pids[1]], &[&name])
}

fn no_tokio() -> Result<()> {
    let sleep = Running::start(Command::new("sleep").arg("60"))?;
    attach(&Scratch::new()?, &sleep.pid().to_string(), &["tokio"], &[])
}

/// Found before anything is recorded, for each output; those that could be written are not left.
fn unwritable_output() -> Result<()> {
    let scratch = Scratch::new()?;
    let target = Target::start("idle")?;
    let (pid, nowhere) = (target.process.pid().to_string(), scratch.file("no-such-directory/out"));
    let fine = scratch.file("fine.folded");
    for option in ["--json", "--record", "--folded", "--flamegraph"] {
        let mut args = vec!["attach".into(), pid.clone().into(), option.into(), nowhere.clone().into_os_string()];
        if option != "--folded" {
            args.extend(["--folded".into(), fine.clone().into_os_string()]);
        }
        refused(&scratch, &args, &["no-such-directory/out"], &[])?;
    }
    Ok(())
}

fn report(scratch: &Scratch, recording: &str, words: &[&str]) -> Result<()> {
    let (file, json) = (scratch.file(recording), scratch.file("o.json"));
    let args: [&OsStr; 4] = ["report".as_ref(), file.as_ref(), "--json".as_ref(), json.as_ref()];
    refused(scratch, &args, words, &[recording])
}

fn not_a_recording() -> Result<()> {
    let scratch = Scratch::new()?;
    for content in [&b""[..], b"ASCO", b"\x7fELF and so on, for longer than a header is"] {
        fs::write(scratch.file("no.ascope"), content)?;
        report(&scratch, "no.ascope", &["no.ascope"])?;
    }
    report(&Scratch::new()?, "missing.ascope", &["missing.ascope"])
}

/// The version is the little-endian word after the eight bytes of magic.
fn a_later_version() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut bytes = recording()?;
    bytes.get_mut(8..12).context("a recording without a header")?.copy_from_slice(&77_u32.to_le_bytes());
    fs::write(scratch.file("later.ascope"), bytes)?;
    report(&scratch, "later.ascope", &["version", "77"])
}

/// Cut off or with a byte changed: exit code 1, and it says how many events could be read.
fn a_damaged_recording() -> Result<()> {
    let whole = recording()?;
    let mut changed = whole.clone();
    *changed.get_mut(whole.len() / 2).context("an empty recording")? ^= 0x20;
    for bytes in [&whole[..whole.len() * 2 / 3], &changed] {
        let scratch = Scratch::new()?;
        fs::write(scratch.file("bad.ascope"), bytes)?;
        let ended = agent::run(["report".as_ref(), scratch.file("bad.ascope").as_os_str()])?;
        let said = ended.stderr.join("\n");
        ensure!(ended.code == Some(1), "exit code {:?}: {said}", ended.code);
        ensure!(ended.stderr.len() == 1 && said.contains("events"), "not said what could be read: {said}");
    }
    Ok(())
}

/// A short real recording.
fn recording() -> Result<Vec<u8>> {
    let scratch = Scratch::new()?;
    let path = scratch.file("events.ascope");
    let mut target = Target::start("names")?;
    let pid = target.process.pid().to_string();
    let mut agent = Agent::start(["attach".as_ref(), pid.as_ref(), "--record".as_ref(), path.as_os_str()])?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    target.finish()?;
    fs::read(&path).context("no recording")
}

/// As another user: it says which capabilities are missing.
fn not_permitted() -> Result<()> {
    let scratch = Scratch::new()?;
    let target = Target::start("idle")?;
    let pid = target.process.pid().to_string();
    let ended = as_nobody(&scratch, &["attach", &pid])?;
    let said = ended.stderr.join("\n");
    ensure!(ended.code == Some(1) && ended.stderr.len() == 1, "exit code {:?}: {said}", ended.code);
    ensure!(said.contains("CAP_SYS_PTRACE") && said.contains("root"), "not said what is missing: {said}");
    Ok(())
}

/// A file can be looked at by anyone who can read it.
fn inspect_without_root() -> Result<()> {
    let scratch = Scratch::new()?;
    let binary = scratch.file("truth");
    fs::copy(paths::truth()?, &binary)?;
    let ended = as_nobody(&scratch, &["inspect", &binary.display().to_string()])?;
    let said = ended.stdout.join("\n");
    ensure!(ended.code == Some(0), "exit code {:?}: {:?}", ended.code, ended.stderr);
    ensure!(said.contains("tokio") && said.contains("poll-start"), "not said what can be seen: {said}");
    Ok(())
}

/// Runs a copy of the agent, from where anyone can, as the user with the highest id.
fn as_nobody(scratch: &Scratch, args: &[&str]) -> Result<agent::Ended> {
    let binary = scratch.file("asyncscope");
    fs::copy(paths::agent()?, &binary)?;
    scratch.open_to_all()?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&binary).args(args);
    Agent { process: Running::start(&mut command)? }.exit()
}

/// Neither text nor a program for another machine is taken for one.
fn not_an_executable() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut other_machine = fs::read(paths::truth()?)?;
    *other_machine.get_mut(18).context("no ELF header")? = 0xb7;
    for (content, words) in [(&b"#!/bin/sh\n"[..], "not an ELF file"), (&other_machine, "x86-64"), (b"\x7fELF", "ELF")]
    {
        fs::write(scratch.file("file"), content)?;
        let path = scratch.file("file").display().to_string();
        refused(&scratch, &["inspect", &path], &[&path, words], &["file"])?;
    }
    Ok(())
}

fn usage() -> Result<()> {
    let cases: [&[&str]; 5] = [&[], &["attach"], &["no-such-word"], &["attach", "1", "--weight", "gold"], &["report"]];
    for args in cases {
        let ended = agent::run(args)?;
        ensure!(ended.code == Some(2), "exit code {:?} for {args:?}", ended.code);
        ensure!(!ended.stderr.is_empty(), "nothing said about {args:?}");
    }
    Ok(())
}
