//! What can happen to a target while it is watched: it forks, becomes another program, is stopped, ends at any
//! moment, or is at its limits. It lives on, or ends, as it does unwatched.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use asyncscope_tests::agent::{Agent, Ended};
use asyncscope_tests::cgroup::Cgroup;
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;
use asyncscope_tests::truth::Truth;

use crate::faults::moment;
use crate::held::Held;
use crate::life::nothing_left;
use crate::{Case, Test, named, scenarios};

/// How often a target ends, and becomes another program, unless `ASYNCSCOPE_ENDS` says otherwise.
const ENDS: u64 = 10;
/// An agent that starts has armed its hooks within this, and then records. Half of the moments lie in the first
/// quarter, where it looks for hooks and arms them.
const ENDS_WITHIN: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("forks", || compared("forks")),
        ("threads", || compared("threads")),
        ("first_leaves", || compared("first_leaves")),
        ("no_descriptors", || compared("no_descriptors")),
        ("no_memory", no_memory),
        ("sealed", || compared("sealed")),
        ("stopped", stopped),
        ("stopped_at_the_end", stopped_at_the_end),
        ("becomes_another_program", becomes_another_program),
        ("becomes_itself_again", || becomes_itself_again(|_| Ok(()), |(), _| Ok(()))),
        ("becomes_itself_after_a_while", || becomes_itself_again(Held::others_of, let_go_after_a_while)),
        ("first_left_before", first_left_before),
        ("first_leaves_one_by_one", first_leaves_one_by_one),
        ("becomes_another_at_any_moment", becomes_another_at_any_moment),
        ("ends_at_any_moment", ends_at_any_moment),
        ("ends_as_unwatched", ends_as_unwatched),
    ];
    named("hard_life", tests)
}

/// Why a test cannot run here, if this machine does not let memory cgroups be made.
pub(crate) fn lacks(test: &str) -> Option<&'static str> {
    (test.ends_with("::no_memory") && Cgroup::new().is_err()).then_some("no memory cgroup can be made")
}

fn compared(scenario: &str) -> Result<()> {
    let objects = bpf_objects()?;
    let (truth, seen) = trial::attached(Target::start(scenario)?, &[])?;
    scenarios::judge(&format!("hard_life::{scenario}"), &truth, &seen)?;
    nothing_left(&objects)
}

/// In bytes: what the target may need while it has all it needs.
const BREATH: u64 = 64 << 10;

/// A target whose memory cgroup is full is refused, and lives on; with what the refusal asks for it is watched.
fn no_memory() -> Result<()> {
    let objects = bpf_objects()?;
    let group = Cgroup::new()?;
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ >\"$1\" && exec \"$0\" steady"]).arg(paths::truth()?).arg(group.members());
    let mut target = Target::start_command(&mut command, "steady")?;
    target.go()?;
    let briefly = ["--duration", "500ms", "--folded", "/dev/null"];
    group.limit(group.used()? + BREATH)?;
    let refused = attach(&target, &briefly)?.exit()?;
    let said = refused.stderr.join("\n");
    ensure!(refused.code == Some(1) && said.contains("raise its limit"), "{refused:?}");
    let needed = said.split_once("may take ").and_then(|(_, rest)| rest.split(' ').next()).context("not how much")?;
    group.limit(group.used()? + (needed.parse::<u64>()? << 10) + BREATH)?;
    let ended = attach(&target, &briefly)?.succeed()?;
    eprintln!("hard_life::no_memory: {needed} KiB asked for; {:?}", ended.stderr.last());
    nothing_left(&objects)?;
    target.go()?;
    target.done()?;
    ensure!(target.finish()?.answers > 0, "it gave no answer");
    Ok(())
}

/// The letter that says what a process does: `T` while it is stopped by a signal.
fn state(pid: u32) -> Result<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).context("no state")
}

fn stop(target: &mut Target) -> Result<()> {
    target.process.signal(libc::SIGSTOP)?;
    let end = Instant::now() + PATIENCE;
    while state(target.process.pid())? != 'T' {
        ensure!(Instant::now() < end, "it does not stop");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn attach(target: &Target, options: &[&str]) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    Agent::start(["attach", &pid].iter().chain(options))
}

/// Attached to while it is stopped, and stopped again in between: it is not woken, and nothing is missed.
fn stopped() -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let mut target = Target::start("multi_thread")?;
    let pid = target.process.pid();
    stop(&mut target)?;
    let mut agent = attach(&target, &["--json", &json.display().to_string()])?;
    agent.armed()?;
    ensure!(state(pid)? == 'T', "the attach woke it");
    target.process.signal(libc::SIGCONT)?;
    target.go()?;
    sleep(Duration::from_millis(300));
    stop(&mut target)?;
    sleep(Duration::from_millis(300));
    ensure!(state(pid)? == 'T', "the recording woke it");
    target.process.signal(libc::SIGCONT)?;
    target.done()?;
    agent.interrupt()?;
    scenarios::judge("hard_life::stopped", &target.finish()?, &Seen::read(&json)?)
}

/// The agent leaves a target that is stopped as it is.
fn stopped_at_the_end() -> Result<()> {
    let objects = bpf_objects()?;
    let mut target = Target::start("load")?;
    target.go()?;
    let mut agent = attach(&target, &["--folded", "/dev/null"])?;
    agent.armed()?;
    stop(&mut target)?;
    agent.interrupt()?;
    nothing_left(&objects)?;
    ensure!(state(target.process.pid())? == 'T', "the detach woke it");
    target.process.signal(libc::SIGCONT)?;
    target.go()?;
    target.done()?;
    ensure!(target.finish()?.answers > 0, "it gave no answer");
    Ok(())
}

/// Whether it ended by itself because the target became another program.
fn ended_by_exec(ended: &Ended) -> bool {
    ended.code == Some(0) && ended.stderr.iter().any(|line| line.contains("became another program by exec"))
}

/// What it did as the first program is reported up to a moment before the end, and nothing of what it did as the other.
/// Tried again where a busy machine made that moment so long that the work was not over.
fn becomes_another_program() -> Result<()> {
    for _ in 0..5 {
        let (truth, seen) = becomes_cat()?;
        if truth.tasks.values().all(|task| task.ended.is_none_or(|end| end < seen.recording.end_ns)) {
            return scenarios::judge("hard_life::becomes_another_program", &truth, &seen);
        }
    }
    bail!("the recordings end before the work does");
}

fn becomes_cat() -> Result<(Truth, Seen)> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let objects = bpf_objects()?;
    let mut target = Target::start("exec_other")?;
    let mut agent = attach(&target, &["--json", &json.display().to_string()])?;
    agent.armed()?;
    target.go()?;
    target.done()?;
    let lines = target.process.stdout.read().to_vec();
    sleep(Duration::from_millis(500));
    target.go()?;
    let ended = agent.exit()?;
    ensure!(ended_by_exec(&ended), "{ended:?}");
    ensure!(ended.stderr.iter().any(|line| line.contains("/cat")), "not said what it became: {:?}", ended.stderr);
    nothing_left(&objects)?;
    target.process.say("still here")?;
    target.process.stdout.until(|line| line == "still here", PATIENCE).context("it does not live on")?;
    target.process.close_input();
    ensure!(target.process.wait(PATIENCE)?.success(), "it did not end well");
    Ok((Truth::parse(&lines)?, Seen::read(&json)?))
}

/// From the middle of a poll into the same program, whose tasks have the same ids, and with the same addresses.
///
/// What is held from before the exec begins is let go before it is waited for. Tried again where a busy machine left
/// the agent no moment before the exec to look.
fn becomes_itself_again<T>(hold: fn(u32) -> Result<T>, let_go: fn(T, u32) -> Result<()>) -> Result<()> {
    for _ in 0..5 {
        if becomes_itself(hold, let_go)? {
            return Ok(());
        }
    }
    bail!("nothing was seen of the first program");
}

/// Whether anything was seen of the first program.
fn becomes_itself<T>(hold: fn(u32) -> Result<T>, let_go: fn(T, u32) -> Result<()>) -> Result<bool> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let objects = bpf_objects()?;
    let mut command = Command::new("setarch");
    command.arg("--addr-no-randomize").arg(paths::truth()?).arg("exec_itself");
    let mut target = Target::start_command(&mut command, "exec_itself")?;
    let mut agent = attach(&target, &["--json", &json.display().to_string()])?;
    agent.armed()?;
    target.go()?;
    sleep(Duration::from_millis(200));
    let held = hold(target.process.pid())?;
    target.go()?;
    let_go(held, target.process.pid())?;
    target.process.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
    target.go()?;
    let ended = agent.exit()?;
    ensure!(ended_by_exec(&ended), "{ended:?}");
    nothing_left(&objects)?;
    let seen = Seen::read(&json)?;
    let second: Vec<_> = seen.tasks.values().filter(|task| task.name.contains("load")).collect();
    ensure!(second.is_empty(), "tasks of the second program: {second:?}");
    ensure!(seen.recording.totals.lost == 0, "{} events lost", seen.recording.totals.lost);
    lives_on(target)?;
    Ok(seen.recording.totals.polls > 0)
}

/// The exec waits for these, and the first thread is a zombie meanwhile: longer than the agent takes to look whether
/// its target is still there.
fn let_go_after_a_while(held: Held, pid: u32) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while state(pid)? != 'Z' {
        ensure!(Instant::now() < end, "the exec does not wait");
        sleep(Duration::from_millis(1));
    }
    sleep(Duration::from_millis(500));
    ensure!(state(pid)? == 'Z', "the exec did not wait");
    held.release()
}

/// Where hooks are the first thread's the recording ends with it, and says so. The kernel takes a tenth of a second to
/// remove each, so that there are as few as can be.
fn first_leaves_one_by_one() -> Result<()> {
    let objects = bpf_objects()?;
    let mut target = Target::start("first_leaves")?;
    let mut agent = attach(&target, &["--one-by-one", "--no-http", "--folded", "/dev/null"])?;
    agent.armed()?;
    target.go()?;
    let ended = agent.exit()?;
    ensure!(ended.code == Some(0) && ended.stderr.join("\n").contains("the recording ends before that"), "{ended:?}");
    nothing_left(&objects)?;
    target.done()?;
    target.finish().map(drop)
}

/// Attached to after its first thread has left, by which alone the kernel finds where hooks belong.
fn first_left_before() -> Result<()> {
    let objects = bpf_objects()?;
    let mut target = Target::start("first_leaves")?;
    target.go()?;
    target.done()?;
    ensure!(state(target.process.pid())? == 'Z', "its first thread is there");
    let refused = attach(&target, &["--folded", "/dev/null"])?.exit()?;
    ensure!(refused.code == Some(1), "{refused:?}");
    ensure!(refused.stderr.join("\n").contains("the first thread of process"), "{refused:?}");
    nothing_left(&objects)?;
    target.finish().map(drop)
}

fn lives_on(mut target: Target) -> Result<()> {
    target.go()?;
    target.done()?;
    target.process.close_input();
    ensure!(target.process.wait(PATIENCE)?.success(), "it did not end well");
    Ok(())
}

fn wait_for(round: u64) {
    let within = if round.is_multiple_of(2) { ENDS_WITHIN } else { ENDS_WITHIN / 4 };
    sleep(moment(round, within));
}

fn times() -> Result<u64> {
    Ok(std::env::var("ASYNCSCOPE_ENDS").map_or(Ok(ENDS), |times| times.parse())?)
}

/// While the agent looks for hooks, arms them, or records.
fn becomes_another_at_any_moment() -> Result<()> {
    let objects = bpf_objects()?;
    let (mut before, mut meanwhile, mut after) = (0, 0, 0);
    for round in 1..=times()? {
        let mut target = Target::start("exec_itself")?;
        target.go()?;
        let agent = attach(&target, &["--duration", "300ms", "--folded", "/dev/null"])?;
        wait_for(round);
        target.go()?;
        target.process.stdout.until(|line| line.starts_with("ready "), PATIENCE)?;
        target.go()?;
        let ended = agent.exit()?;
        let said = ended.stderr.join("\n");
        match ended.code {
            Some(1) if said.contains("became another program (exec)") => before += 1,
            Some(0) if ended_by_exec(&ended) => meanwhile += 1,
            Some(0) => after += 1,
            _ => bail!("round {round}: {ended:?}"),
        }
        nothing_left(&objects).with_context(|| format!("round {round}"))?;
        lives_on(target).with_context(|| format!("round {round}"))?;
    }
    eprintln!(
        "becomes_another_at_any_moment: {before} while attaching, {meanwhile} while recording, {after} otherwise"
    );
    Ok(())
}

/// Killed while the agent looks for hooks, arms them, or records: a sentence, or a recording.
fn ends_at_any_moment() -> Result<()> {
    const SENTENCES: [&str; 3] = ["ended while asyncscope was attaching", "there is no process", "has no executable"];
    let objects = bpf_objects()?;
    let (mut refused, mut recorded) = (0, 0);
    for round in 1..=2 * times()? {
        let mut target = Target::start("load")?;
        target.go()?;
        let agent = attach(&target, &["--folded", "/dev/null"])?;
        wait_for(round);
        target.process.signal(if round % 4 < 2 { libc::SIGKILL } else { libc::SIGTERM })?;
        target.process.wait(PATIENCE)?;
        let ended = agent.exit()?;
        let said = ended.stderr.join("\n");
        match ended.code {
            Some(1) if SENTENCES.iter().any(|sentence| said.contains(sentence)) => refused += 1,
            Some(0) => recorded += 1,
            _ => bail!("round {round}: {ended:?}"),
        }
        nothing_left(&objects).with_context(|| format!("round {round}"))?;
    }
    eprintln!("ends_at_any_moment: {refused} while attaching, {recorded} while recording");
    Ok(())
}

/// Each way to end gives the same status watched and unwatched, and the agent ends with the target.
fn ends_as_unwatched() -> Result<()> {
    const ENDINGS: [&str; 9] =
        ["panic", "double_panic", "no_unwind", "exit", "abort", "overflow", "terminated", "forbidden", "leak"];
    let objects = bpf_objects()?;
    for ending in ENDINGS {
        let scenario = format!("ending_{ending}");
        let unwatched = status_of(Target::start(&scenario)?)?;
        let target = Target::start(&scenario)?;
        let mut agent = attach(&target, &["--folded", "/dev/null"])?;
        agent.armed()?;
        let watched = status_of(target)?;
        agent.succeed().with_context(|| scenario.clone())?;
        ensure!(watched == unwatched, "{scenario}: {watched} watched, {unwatched} unwatched");
        eprintln!("{scenario}: {watched}");
    }
    nothing_left(&objects)
}

fn status_of(mut target: Target) -> Result<std::process::ExitStatus> {
    target.go()?;
    target.process.close_input();
    target.process.wait(PATIENCE)
}
