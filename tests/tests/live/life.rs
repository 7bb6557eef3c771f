//! The agent's comings and goings: attached again and again, killed, outlived, replayed.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::{self, Agent, Ended};
use asyncscope_tests::kernel::{BpfObject, bpf_objects, holdings};
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;

use crate::{Test, scenarios};

/// How often to attach, unless `ASYNCSCOPE_ATTACHES` says otherwise.
const ATTACHES: u32 = 200;

pub(crate) fn tests() -> Vec<(String, Test)> {
    vec![
        ("attach_detach".to_owned(), Box::new(attach_detach)),
        ("sigkill".to_owned(), Box::new(sigkill)),
        ("target_exits".to_owned(), Box::new(target_exits)),
        ("duration".to_owned(), Box::new(duration)),
        ("live_and_replay_are_equal".to_owned(), Box::new(live_and_replay_are_equal)),
    ]
}

/// Many times in a row under load: the answers stay right, and nothing is left anywhere.
fn attach_detach() -> Result<()> {
    let times = std::env::var("ASYNCSCOPE_ATTACHES").map_or(Ok(ATTACHES), |times| times.parse())?;
    let mut target = Target::start("load")?;
    target.go()?;
    // The first attach makes the kernel set up its area for probes in the target; what follows must
    // not add to it.
    attach_briefly(target.process.pid())?;
    let (objects, before) = (bpf_objects()?, holdings(target.process.pid())?);
    for n in 1..=times {
        attach_briefly(target.process.pid()).with_context(|| format!("attach {n} of {times}"))?;
    }
    nothing_left(&objects)?;
    let after = holdings(target.process.pid())?;
    eprintln!("attach_detach: {times} times; before {before:?}, after {after:?}");
    let may_grow = (before.resident_kib / 10).max(4096);
    ensure!(after.resident_kib < before.resident_kib + may_grow, "the target's memory grew");
    ensure!(after.descriptors == before.descriptors, "the target's descriptors changed");
    target.go()?;
    target.done()?;
    let answers = target.finish()?.answers;
    ensure!(answers > u64::from(times), "the target gave only {answers} answers");
    Ok(())
}

fn attach_briefly(pid: u32) -> Result<Ended> {
    let pid = pid.to_string();
    Agent::start(["attach", &pid, "--duration", "50ms", "--folded", "/dev/null"])?.succeed()
}

/// No program, map or link is there that was not before; the kernel frees them a little later.
pub(crate) fn nothing_left(before: &BTreeSet<(BpfObject, u32)>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<_> = bpf_objects()?.difference(before).copied().collect();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "left in the kernel: {left:?}");
        sleep(Duration::from_millis(100));
    }
}

/// The target goes on as if nothing were, and what was recorded can be read.
fn sigkill() -> Result<()> {
    let scratch = Scratch::new()?;
    let (record, json) = (scratch.file("events.ascope"), scratch.file("events.json"));
    let objects = bpf_objects()?;
    let mut target = Target::start("multi_thread")?;
    let mut agent = start(&target, &[("--record", &record)])?;
    target.go()?;
    sleep(Duration::from_millis(600));
    agent.process.signal(libc::SIGKILL)?;
    ensure!(agent.exit()?.code.is_none(), "the agent was not killed");
    target.done()?;
    let truth = target.finish()?;
    nothing_left(&objects)?;
    let report = report(&record, &[("--json", &json)])?;
    let said = [report.stdout, report.stderr].concat().join("\n");
    ensure!(said.contains("no end"), "not said that the recording has no end: {said}");
    let seen = Seen::read(&json)?;
    ensure!(seen.recording.totals.polls > 0, "nothing was recorded");
    let invented = seen.tasks.iter().find(|(id, task)| !task.runtime && !truth.tasks.contains_key(id));
    ensure!(invented.is_none(), "invented: {invented:?}");
    Ok(())
}

/// The target ends first: the agent ends by itself and has seen everything.
fn target_exits() -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut target = Target::start("current_thread")?;
    let agent = start(&target, &[("--json", &json)])?;
    target.go()?;
    target.done()?;
    let truth = target.finish()?;
    agent.succeed()?;
    scenarios::judge("target_exits", &truth, &Seen::read(&json)?)
}

/// A duration ends the recording, not the target.
fn duration() -> Result<()> {
    let scratch = Scratch::new()?;
    let svg = scratch.file("flame.svg");
    let mut target = Target::start("load")?;
    target.go()?;
    let (pid, start) = (target.process.pid().to_string(), Instant::now());
    let args = ["attach", &pid, "--duration", "1s", "--flamegraph"].map(Into::into);
    Agent::start(args.into_iter().chain([svg.clone().into_os_string()]))?.succeed()?;
    ensure!(start.elapsed() >= Duration::from_secs(1), "it ended after {:?}", start.elapsed());
    let drawn = std::fs::read_to_string(&svg)?;
    ensure!(drawn.contains("<svg") && drawn.contains("</svg>"), "no whole SVG");
    target.go()?;
    target.done()?;
    target.finish().map(drop)
}

fn live_and_replay_are_equal() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = |name| scratch.file(name);
    let (record, json, folded) = (file("events.ascope"), file("live.json"), file("live.folded"));
    let mut target = Target::start("multi_thread")?;
    let agent = start(&target, &[("--record", &record), ("--json", &json), ("--folded", &folded)])?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    target.finish()?;
    let (json_again, folded_again) = (file("replay.json"), file("replay.folded"));
    let again = report(&record, &[("--json", &json_again), ("--folded", &folded_again)])?;
    ensure!(again.code == Some(0), "the report ended with {again:?}");
    equal(&json, &json_again)?;
    equal(&folded, &folded_again)
}

fn equal(live: &Path, replay: &Path) -> Result<()> {
    let (live, replay) = (std::fs::read(live)?, std::fs::read(replay)?);
    ensure!(!live.is_empty(), "an empty output");
    let differs = live.iter().zip(&replay).position(|(a, b)| a != b);
    let (a, b) = (live.len(), replay.len());
    ensure!(live == replay, "{a} bytes live, {b} in replay, the first difference at {differs:?}");
    Ok(())
}

/// Attaches with these outputs and waits until the hooks are armed.
fn start(target: &Target, outputs: &[(&str, &Path)]) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    let mut args = vec!["attach".as_ref(), pid.as_ref()];
    args.extend(outputs.iter().flat_map(|(option, path)| [option.as_ref(), path.as_os_str()]));
    let mut agent = Agent::start(args)?;
    agent.armed()?;
    Ok(agent)
}

fn report(record: &Path, outputs: &[(&str, &Path)]) -> Result<Ended> {
    let mut args = vec!["report".as_ref(), record.as_os_str()];
    args.extend(outputs.iter().flat_map(|(option, path)| [option.as_ref(), path.as_os_str()]));
    agent::run(args)
}
