//! Every scenario, attached to and run from the first instruction on, compared task by task.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::compare::{Rules, compare};
use asyncscope_tests::kernel;
use asyncscope_tests::paths::{self, Scratch};
use asyncscope_tests::scenarios::{self, Scenario};
use asyncscope_tests::seen::Seen;
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;
use asyncscope_tests::truth::Truth;

use crate::Test;

type Way = fn() -> Result<()>;

pub(crate) fn tests() -> Vec<(String, Test)> {
    let both = |Scenario { name: scenario, .. }: Scenario| {
        let attached: Test = Box::new(move || attached(scenario));
        let run: Test = Box::new(move || run(scenario));
        [(format!("attach::{scenario}"), attached), (format!("run::{scenario}"), run)]
    };
    let ways: [(&str, Way); 4] = [
        ("one_by_one::multi_thread", one_by_one),
        ("overrun::storm", overrun),
        ("deleted::multi_thread", deleted),
        ("other_mounts::multi_thread", other_mounts),
    ];
    let ways = ways.into_iter().map(|(name, test)| (name.to_owned(), Box::new(test) as Test));
    scenarios::ALL.into_iter().flat_map(both).chain(ways).collect()
}

fn attached(scenario: &str) -> Result<()> {
    let seen = trial::attached(Target::start(scenario)?, &[])?;
    judge(&format!("attach::{scenario}"), &seen.0, &seen.1)
}

/// As on kernels that cannot attach all hooks of a program at once.
fn one_by_one() -> Result<()> {
    let (truth, seen) = trial::attached(Target::start("multi_thread")?, &["--one-by-one"])?;
    judge("one_by_one::multi_thread", &truth, &seen)
}

/// With buffers far too small, what is lost is counted, and nothing is made up.
fn overrun() -> Result<()> {
    let (truth, seen) = trial::attached(Target::start("storm")?, &["--buffer", "4"])?;
    let totals = &seen.recording.totals;
    ensure!(totals.lost > 0 && totals.gaps > 0, "nothing was lost");
    judge("overrun::storm", &truth, &seen)
}

/// The executable's file is gone, as after an upgrade.
fn deleted() -> Result<()> {
    let scratch = Scratch::new()?;
    let binary = scratch.file("truth-deleted");
    fs::copy(paths::truth()?, &binary)?;
    let target = Target::start_as(&binary, "multi_thread")?;
    fs::write(scratch.file("other"), "not the program")?;
    fs::rename(scratch.file("other"), &binary)?;
    let (truth, seen) = trial::attached(target, &[])?;
    judge("deleted::multi_thread", &truth, &seen)
}

/// The executable lies on a mount that only the target sees.
fn other_mounts() -> Result<()> {
    let scratch = Scratch::new()?;
    let directory = scratch.file("mount");
    fs::create_dir(&directory)?;
    let script = "mount -t tmpfs none \"$1\" && cp \"$0\" \"$1/truth\" && exec \"$1/truth\" multi_thread";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(paths::truth()?).arg(&directory);
    let target = Target::start_command(&mut command, "multi_thread")?;
    ensure!(!directory.join("truth").exists(), "the mount is seen from outside");
    let (truth, seen) = trial::attached(target, &[])?;
    judge("other_mounts::multi_thread", &truth, &seen)
}

fn run(scenario: &str) -> Result<()> {
    let (truth, seen) = trial::run(&paths::truth()?, &[scenario])?;
    judge(&format!("run::{scenario}"), &truth, &seen)
}

/// Compares, and says how much of the lineage was known.
pub(crate) fn judge(name: &str, truth: &Truth, seen: &Seen) -> Result<()> {
    judge_by(name, truth, seen, kernel::in_initial_pid_namespace())
}

/// The same where the target numbers its threads otherwise than the agent does.
pub(crate) fn judge_without_threads(name: &str, truth: &Truth, seen: &Seen) -> Result<()> {
    judge_by(name, truth, seen, false)
}

fn judge_by(name: &str, truth: &Truth, seen: &Seen, threads: bool) -> Result<()> {
    ensure!(!truth.tasks.is_empty(), "the target did nothing");
    let rules = Rules { losses: name.ends_with("storm"), threads, ..Rules::default() };
    let result = compare(truth, seen, rules);
    let totals = &seen.recording.totals;
    eprintln!("{name}: {result}; {} events lost in {} gaps", totals.lost, totals.gaps);
    result.mistakes.is_empty().then_some(()).with_context(|| result.to_string())
}
