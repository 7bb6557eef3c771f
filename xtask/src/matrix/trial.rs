//! Watches a cell's program in every scenario, and compares.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use asyncscope_tests::compare::{Comparison, Rules, compare};
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::kernel;
use asyncscope_tests::scenarios;
use asyncscope_tests::seen::{Actor, Seen};
use asyncscope_tests::target::Target;
use asyncscope_tests::trial;
use asyncscope_tests::truth::Truth;

use super::build::Built;
use super::cell::Cell;

/// Those that are also run from the first instruction on: every way to spawn. What is found in the program
/// is the same as when it is attached to.
const RUN: [&str; 4] = ["multi_thread", "local_set", "blocking", "names"];
/// The time that each works.
const SECONDS: &str = "0.2";

/// The outcome of a cell.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The cell.
    pub(crate) cell: Cell,
    /// The answer of `inspect`.
    pub(crate) inspection: Inspection,
    /// The number of times it was watched.
    pub(crate) trials: usize,
    /// Tasks seen.
    pub(crate) tasks: usize,
    /// Polls seen.
    pub(crate) polls: u64,
    /// Tasks whose parent, or that they have none, is known.
    pub(crate) parents_known: usize,
    /// Wakes seen.
    pub(crate) wakes: usize,
    /// Wakes by someone known.
    pub(crate) wakers_known: usize,
    /// Panics that look like completions.
    pub(crate) unseen_panics: u64,
    /// The trials that differ, and how.
    pub(crate) mistakes: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trials, tasks, polls, parents_known, mistakes, .. } = self;
        write!(f, "{}: {trials} trials, {tasks} tasks, {polls} polls, ", self.cell.name())?;
        write!(f, "{parents_known} parents known, {} trials differ", mistakes.len())?;
        mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// Attaches to the program and runs it, once for each scenario.
///
/// # Errors
/// Where `inspect` fails. A trial that fails is a mistake.
pub(crate) fn watch(cell: &Cell, built: &Built) -> Result<Outcome> {
    let program = &built.program;
    let inspection = Inspection::of(program, &[])?;
    let rules = Rules {
        losses: false,
        threads: kernel::in_initial_pid_namespace(),
        unknown_parents: inspection.misses("spawn"),
        unknown_completions: !inspection.running_known(),
        unnamed: inspection.symbols == 0,
        unseen_panics: inspection.misses("panic"),
    };
    let mut outcome = Outcome {
        cell: *cell,
        inspection,
        trials: 0,
        tasks: 0,
        polls: 0,
        parents_known: 0,
        wakes: 0,
        wakers_known: 0,
        unseen_panics: 0,
        mistakes: built
            .unstripped
            .as_deref()
            .map(|unstripped| names(program, unstripped))
            .transpose()?
            .unwrap_or_default(),
    };
    for scenario in scenarios::ALL.iter().filter(|scenario| !scenario.storms && (cell.build.panics || !scenario.panics))
    {
        let scenario = scenario.name;
        outcome.add(&format!("attach::{scenario}"), attached(program, scenario), rules);
        if !RUN.contains(&scenario) {
            continue;
        }
        outcome.add(&format!("run::{scenario}"), trial::run(program, &[scenario, "--seconds", SECONDS]), rules);
    }
    Ok(outcome)
}

/// Lists what differs between the names of a program, given the file with its symbols, and that file's own. Where
/// only symbols say, some types stay without a name: all of their functions are tokio's, and the optimiser has put the
/// future's own into these.
fn names(program: &Path, unstripped: &Path) -> Result<Vec<String>> {
    let (given, own) = (Inspection::with_debug_file(program, Some(unstripped))?, Inspection::of(unstripped, &[])?);
    let differ: Vec<_> =
        own.types.iter().zip(&given.types).filter(|(own, given)| own.called() != given.called()).collect();
    let (types, unnamed) = ((own.types.len(), given.types.len()), own.unnamed());
    let mistake = format!("names with --debug-file: {differ:?} of {types:?}, {unnamed} unnamed");
    let right = differ.is_empty() && types.0 == types.1 && unnamed * 10 <= types.0;
    Ok(if right { Vec::new() } else { vec![mistake] })
}

fn attached(program: &Path, scenario: &str) -> Result<(Truth, Seen)> {
    let mut command = std::process::Command::new(program);
    command.args([scenario, "--seconds", SECONDS]);
    trial::attached(Target::start_command(&mut command, scenario)?, &[])
}

impl Outcome {
    fn add(&mut self, name: &str, result: Result<(Truth, Seen)>, rules: Rules) {
        self.trials += 1;
        let (truth, seen) = match result {
            Ok(both) => both,
            Err(error) => return self.mistakes.push(format!("{name}: {error:#}")),
        };
        let compared = compare(&truth, &seen, rules);
        self.count(&seen, &compared);
        if !compared.mistakes.is_empty() {
            self.mistakes.push(format!("{name}: {compared}"));
        }
    }

    fn count(&mut self, seen: &Seen, compared: &Comparison) {
        self.tasks += compared.tasks;
        self.polls += seen.recording.totals.polls;
        self.parents_known += compared.parents_known;
        self.unseen_panics += compared.unseen_panics;
        self.wakes += seen.wakes.len();
        self.wakers_known += seen.wakes.iter().filter(|wake| !matches!(wake.by, Actor::Unknown(_))).count();
    }
}
