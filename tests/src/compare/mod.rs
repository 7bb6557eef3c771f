//! The comparison of what the agent saw with what the target lived: exact, but for what no observer
//! of this kind can distinguish, which is allowed only where the truth shows such a moment, and counted.
//!
//! - A poll that starts while another thread aborts or shuts down the task looks the same whether it
//!   polls the future or only cancels it ([`Comparison::racing_polls`]).
//!   Where the thread does not run for a moment just then, its start is seen late ([`Comparison::late_polls`]).
//! - A poll that catches a panic of its own and completes looks like one that panics
//!   ([`Comparison::caught_ends`]).

mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use crate::seen::{Actor, Seen, SeenWake};
use crate::truth::{TrueTask, TrueWaker, Truth};

/// More late polls than this and one in a hundred tasks are no chance: a thread has to lose its processor between two
/// instructions.
const LATE_MAX: u64 = 2;

/// Conditions of the comparison beside the two sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Losses are allowed if they are shown as gaps: then things may be missing, but never wrong.
    pub losses: bool,
    /// Both sides number threads alike, and threads are compared.
    pub threads: bool,
    /// A parent may be unknown and a spawn unseen: not every way to spawn could be found in the target.
    pub unknown_parents: bool,
    /// It is not known where tokio keeps the running task's id: after a completion nobody reads the output of, it may
    /// not be seen who spawns, as long as its poll may go on.
    pub unknown_completions: bool,
    /// The target has no symbols: names and kinds may be missing.
    pub unnamed: bool,
    /// A panic may look like a completion: the target has no symbol of where panics start.
    pub unseen_panics: bool,
}

/// The outcome.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Every difference, as a sentence.
    pub mistakes: Vec<String>,
    /// Tasks seen that are not the runtime's.
    pub tasks: usize,
    /// Those of them whose parent, or that they have none, is known.
    pub parents_known: usize,
    /// Polls that may have been cancellations.
    pub racing_polls: u64,
    /// Those of them whose start was seen late.
    pub late_polls: u64,
    /// Panics that may have been completions.
    pub caught_ends: u64,
    /// Panics that look like completions.
    pub unseen_panics: u64,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 25;
        let Self { mistakes, tasks, parents_known, racing_polls, late_polls, caught_ends, unseen_panics } = self;
        write!(f, "{tasks} tasks, {parents_known} with a known parent or root, ")?;
        write!(
            f,
            "{racing_polls} racing polls ({late_polls} late), {caught_ends} caught ends, {unseen_panics} unseen panics, "
        )?;
        write!(f, "{} mistakes", mistakes.len())?;
        mistakes.iter().take(SHOWN).try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

/// Compares.
#[must_use]
pub fn compare(truth: &Truth, seen: &Seen, rules: Rules) -> Comparison {
    let gaps = seen.recording.totals.gaps > 0;
    let mut sides = Sides { truth, seen, rules, gaps: gaps && rules.losses, result: Comparison::default() };
    sides.missing();
    sides.tasks();
    sides.spawns();
    sides.wakes();
    // What is wrong as a whole comes first: it explains the rest.
    let of_tasks = sides.result.mistakes.len();
    sides.totals();
    sides.result.mistakes.rotate_left(of_tasks);
    sides.result
}

impl TrueWaker {
    fn is(self, wake: &SeenWake) -> bool {
        match (self, &wake.by) {
            (Self::Task(truth), Actor::Task(seen)) => truth == *seen,
            (Self::Itself, Actor::Task(seen)) => wake.task == *seen,
            (Self::Itself, Actor::Own(own)) => *own,
            (Self::Io, Actor::Runtime(Some(driver))) => driver == "io",
            (Self::Time, Actor::Runtime(Some(driver))) => driver == "time",
            // A runtime's thread, or one of which no task was polled yet.
            (Self::Root, Actor::Runtime(None) | Actor::Thread(_)) => true,
            _ => false,
        }
    }
}

struct Sides<'a> {
    truth: &'a Truth,
    seen: &'a Seen,
    rules: Rules,
    /// There are gaps, and that is allowed.
    gaps: bool,
    result: Comparison,
}

impl Sides<'_> {
    fn mistake(&mut self, mistake: String) {
        self.result.mistakes.push(mistake);
    }

    fn armed(&self) -> u64 {
        self.seen.recording.armed.monotonic_ns
    }

    fn spawned_before_armed(&self, task: &TrueTask) -> bool {
        task.spawn.t0 < self.armed()
    }

    /// Every task that was spawned or polled while watched has to be there.
    fn missing(&mut self) {
        for (id, task) in &self.truth.tasks {
            let watched = !self.spawned_before_armed(task) || task.polls.is_some_and(|polls| polls > 0);
            if watched && !self.gaps && !self.seen.tasks.contains_key(id) {
                self.mistake(format!("task {id} ({}) is missing", task.name));
            }
        }
    }

    fn tasks(&mut self) {
        for (id, seen) in &self.seen.tasks {
            match (self.truth.tasks.get(id), seen.runtime) {
                (Some(truth), false) => self.task(truth, seen),
                (None, true) => {}
                (None, false) => self.mistake(format!("task {id} ({}) is invented", seen.name)),
                (Some(_), true) => self.mistake(format!("task {id} is taken for the runtime's")),
            }
            self.states(seen);
        }
    }

    /// Every edge has to be one that was lived, and no task is spawned twice.
    fn spawns(&mut self) {
        let mut children = BTreeSet::new();
        for spawn in &self.seen.spawns {
            let id = spawn.task;
            if !children.insert(id) {
                self.mistake(format!("task {id} is spawned twice"));
            }
            let Some(truth) = self.truth.tasks.get(&id).map(|task| &task.spawn) else {
                continue;
            };
            if !(truth.t0..=truth.t1).contains(&spawn.time_ns) {
                let (t0, t1) = (truth.t0, truth.t1);
                self.mistake(format!("task {id} is spawned at {}, not in {t0}..={t1}", spawn.time_ns));
            }
            if self.rules.threads && truth.thread != spawn.thread {
                self.mistake(format!("task {id} is spawned on {}, not {}", spawn.thread, truth.thread));
            }
            if self.seen.tasks.get(&id).is_none_or(|task| task.parent != spawn.parent) {
                self.mistake(format!("task {id} has two parents, {:?} and its own line's", spawn.parent));
            }
        }
        for (id, task) in &self.truth.tasks {
            let excused = self.gaps || self.rules.unknown_parents;
            if !self.spawned_before_armed(task) && !excused && !children.contains(id) {
                self.mistake(format!("the spawn of task {id} is missing"));
            }
        }
    }

    /// No task that was not there wakes or is woken, and the runtime's own never wake.
    fn wakes(&mut self) {
        for wake in &self.seen.wakes {
            let by = if let Actor::Task(by) = wake.by { by } else { wake.task };
            for id in [by, wake.task] {
                if !self.truth.tasks.contains_key(&id) {
                    self.mistake(format!("{wake:?} has a task that is not the program's"));
                }
            }
        }
        for (id, by) in &self.truth.woken {
            self.wakers(*id, by);
        }
    }

    /// Returns who wakes a task, where the target says so.
    fn wakers(&mut self, task: u64, by: &[TrueWaker]) {
        let wakes = self.seen.wakes.iter().filter(|wake| wake.task == task && wake.did != "found-complete");
        let wakes: Vec<_> = wakes.collect();
        for wake in &wakes {
            let unknown = self.gaps && matches!(wake.by, Actor::Unknown(_));
            if !unknown && !by.iter().any(|by| by.is(wake)) {
                self.mistake(format!("{wake:?}, not by one of {by:?}"));
            }
        }
        let first = by.first().is_none_or(|first| wakes.iter().any(|wake| first.is(wake)));
        if !first && !self.gaps {
            self.mistake(format!("task {task} is not seen to be woken by the first of {by:?}: {wakes:?}"));
        }
    }

    fn totals(&mut self) {
        let totals = &self.seen.recording.totals;
        let in_gaps: u64 = self.seen.gaps.iter().map(|gap| gap.lost).sum();
        let (racing, late, tasks) = (self.result.racing_polls, self.result.late_polls, self.result.tasks);
        if late > LATE_MAX + tasks as u64 / 100 {
            self.mistake(format!("{late} of {tasks} tasks have a poll more, which chance does not do"));
        }
        if totals.gaps != self.seen.gaps.len() as u64 {
            self.mistake(format!("{} gaps, but {} lines of gaps", totals.gaps, self.seen.gaps.len()));
        }
        if in_gaps != totals.lost {
            self.mistake(format!("{} events lost, but {in_gaps} in gaps", totals.lost));
        }
        if totals.gaps + totals.lost > 0 && !self.rules.losses {
            self.mistake(format!("{} events lost in {} gaps", totals.lost, totals.gaps));
        }
        if totals.polls_unended > racing && !self.gaps {
            self.mistake(format!("{} polls unended, {racing} racing", totals.polls_unended));
        }
    }
}
