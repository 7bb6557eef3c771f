//! Not alone: while another profiler watches the same process, by hooks at the same places.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::kernel::bpf_objects;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::process::Running;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;

use crate::life::nothing_left;
use crate::{Case, Test, named, scenarios};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<(String, Test)> {
    let tests: &[(&str, Case)] = &[
        ("another_asyncscope", another_asyncscope),
        ("bpftrace_first", bpftrace_first),
        ("bpftrace_comes_and_goes", bpftrace_comes_and_goes),
        ("perf", perf),
    ];
    named("company", tests)
}

/// Why a test cannot run here, if it needs a program that is not installed.
pub(crate) fn lacks(test: &str) -> Option<&'static str> {
    let is_there = |name: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|directory| directory.join(name).is_file())
    };
    let needs = |word: &str, name| test.starts_with("company::") && test.contains(word) && !is_there(name);
    [("bpftrace", "no bpftrace"), ("perf", "no perf")].into_iter().find(|(word, _)| needs(word, word)).map(|it| it.1)
}

fn attach(target: &Target, json: &Path) -> Result<Agent> {
    let pid = target.process.pid().to_string();
    let mut agent = Agent::start(["attach".as_ref(), pid.as_ref(), "--json".as_ref(), json.as_os_str()])?;
    agent.armed()?;
    Ok(agent)
}

/// Two see the same, each all of it, and a third that comes and goes changes nothing.
fn another_asyncscope() -> Result<()> {
    let scratch = Scratch::new()?;
    let (first_json, second_json) = (scratch.file("first.json"), scratch.file("second.json"));
    let objects = bpf_objects()?;
    let mut target = Target::start("multi_thread")?;
    let first = attach(&target, &first_json)?;
    let second = attach(&target, &second_json)?;
    let third = attach(&target, Path::new("/dev/null"))?;
    target.go()?;
    third.interrupt()?;
    target.done()?;
    first.interrupt()?;
    second.interrupt()?;
    let truth = target.finish()?;
    scenarios::judge("company::the_first_asyncscope", &truth, &Seen::read(&first_json)?)?;
    scenarios::judge("company::the_second_asyncscope", &truth, &Seen::read(&second_json)?)?;
    nothing_left(&objects)
}

/// Counts calls of tokio's poll and wake functions at their first instructions. It says so once it does.
fn bpftrace(target: &Target) -> Result<Running> {
    let truth = paths::truth()?;
    let truth = truth.display();
    let script = format!(
        "uprobe:{truth}:*tokio*raw*poll* {{ @polls = count(); }} uprobe:{truth}:*tokio*waker*wake_by_* {{ @wakes = \
         count(); }} interval:ms:100 {{ printf(\"counting\\n\"); }}"
    );
    let mut command = Command::new("bpftrace");
    command.args(["-p", &target.process.pid().to_string(), "-e", &script]).env("BPFTRACE_MAX_PROBES", "2048");
    let mut bpftrace = Running::start(&mut command)?;
    bpftrace.stdout.until(|line| line == "counting", PATIENCE).context("bpftrace does not count")?;
    Ok(bpftrace)
}

/// Ends it, and returns how many polls it counted.
fn end(mut bpftrace: Running) -> Result<u64> {
    bpftrace.signal(libc::SIGINT)?;
    ensure!(bpftrace.wait(PATIENCE)?.success(), "bpftrace failed: {:?}", bpftrace.stderr.all(PATIENCE));
    let polls = bpftrace.stdout.all(PATIENCE).iter().find_map(|line| line.strip_prefix("@polls: ")?.parse().ok());
    Ok(polls.unwrap_or(0))
}

/// Its breakpoints are there before.
fn bpftrace_first() -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let objects = bpf_objects()?;
    let mut target = Target::start("multi_thread")?;
    let other = bpftrace(&target)?;
    let agent = attach(&target, &json)?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    let polls = end(other)?;
    let seen = Seen::read(&json)?;
    let counted = seen.recording.totals.polls;
    eprintln!("company::bpftrace_first: bpftrace counted {polls} polls, asyncscope {counted}");
    ensure!(polls >= counted && counted > 0, "bpftrace counted {polls} polls, asyncscope {counted}");
    scenarios::judge("company::bpftrace_first", &target.finish()?, &seen)?;
    nothing_left(&objects)
}

/// Its breakpoints come and go while asyncscope's are there.
fn bpftrace_comes_and_goes() -> Result<()> {
    let scratch = Scratch::new()?;
    let json = scratch.file("events.json");
    let objects = bpf_objects()?;
    let mut command = Command::new(paths::truth()?);
    command.args(["multi_thread", "--seconds", "4"]);
    let mut target = Target::start_command(&mut command, "multi_thread")?;
    let agent = attach(&target, &json)?;
    target.go()?;
    let polls = end(bpftrace(&target)?)?;
    eprintln!("company::bpftrace_comes_and_goes: bpftrace counted {polls} polls");
    target.done()?;
    agent.interrupt()?;
    scenarios::judge("company::bpftrace_comes_and_goes", &target.finish()?, &Seen::read(&json)?)?;
    nothing_left(&objects)
}

/// While perf takes samples with stacks, begun before and ended after.
fn perf() -> Result<()> {
    let scratch = Scratch::new()?;
    let (json, data) = (scratch.file("events.json"), scratch.file("perf.data"));
    let mut target = Target::start("multi_thread")?;
    let pid = target.process.pid().to_string();
    let mut command = Command::new("perf");
    command.args(["record", "-e", "cpu-clock", "-F", "999", "-g", "-p", &pid, "-o"]).arg(&data);
    let mut perf = Running::start(&mut command)?;
    let agent = attach(&target, &json)?;
    target.go()?;
    target.done()?;
    agent.interrupt()?;
    perf.signal(libc::SIGINT)?;
    perf.wait(PATIENCE)?;
    let samples = std::fs::metadata(&data).context("perf recorded nothing")?.len();
    eprintln!("company::perf: perf recorded {samples} bytes");
    scenarios::judge("company::perf", &target.finish()?, &Seen::read(&json)?)
}
