//! The comparison: the same tasks by both accounts, summed by type.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use asyncscope_tests::seen::{Actor, Seen, SeenTask};

use super::truth::Lived;

/// The most that the two may differ by, in percent of the truth.
pub(super) const TOLERANCE_PERCENT: f64 = 5.0;

/// The most they may differ by for each task: a probe's own time, which the task's clock sees on the
/// other side of the border between busy and waiting.
pub(super) const TOLERANCE_NS: u64 = 10_000;

/// Tasks this close to the begin or the end of the watch are not expected to be seen whole.
const EDGE_NS: u64 = 100_000_000;

/// Both accounts, summed.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) types: BTreeMap<String, Sums>,
    /// Tasks that lived wholly inside the watch, but of which asyncscope did not see both ends.
    pub(super) missed: u64,
    pub(super) parents: Parents,
}

/// Sums over the tasks of one type that both accounts have from spawn to end.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) tasks: u64,
    pub(super) busy: Pair,
    pub(super) wait: Pair,
    pub(super) polls: Pair,
    /// asyncscope's name of a task whose name does not have the function's in it.
    pub(super) misnamed: Option<String>,
}

/// A sum by both accounts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    pub(super) lived: u64,
    pub(super) seen: u64,
}

/// The number of times that asyncscope named the parent that the task names.
#[derive(Debug, Default)]
pub(super) struct Parents {
    pub(super) right: u64,
    pub(super) wrong: u64,
    pub(super) unknown: u64,
}

/// Compares.
pub(super) fn compare(lived: &[Lived], seen: &Seen) -> Comparison {
    let mut comparison = Comparison::default();
    for lived in lived.iter().filter(|lived| !lived.awaited) {
        match whole(seen, lived.id) {
            Some(seen) => comparison.add(lived, seen),
            None => comparison.missed += u64::from(spans(seen, lived)),
        }
    }
    comparison
}

/// Returns the task, if both its ends were seen.
pub(super) fn whole(seen: &Seen, id: u64) -> Option<&SeenTask> {
    seen.tasks.get(&id).filter(|task| task.born_ns.is_some() && task.end.is_some())
}

/// Says whether the task lived wholly while asyncscope watched.
fn spans(seen: &Seen, lived: &Lived) -> bool {
    let (armed_ns, end_ns) = seen.recording.watched().into_inner();
    lived.spawned_ns >= armed_ns + EDGE_NS && lived.end_ns + EDGE_NS <= end_ns
}

impl Comparison {
    fn add(&mut self, lived: &Lived, seen: &SeenTask) {
        self.parents.add(lived, seen);
        let sums = self.types.entry(lived.r#type.clone()).or_default();
        sums.tasks += 1;
        sums.busy.add(lived.busy_ns, seen.busy_ns);
        sums.wait.add(lived.wait_ns(), seen.ready_ns.saturating_add(seen.waiting_ns));
        sums.polls.add(lived.polls, seen.polls);
        let function = lived.r#type.rsplit("::").next().unwrap_or_default();
        if !seen.name.contains(function) {
            sums.misnamed = Some(seen.name.clone());
        }
    }

    /// Checks that asyncscope told the truth.
    ///
    /// # Errors
    /// Where it did not, with the first thing that was wrong.
    pub(super) fn verdict(&self) -> Result<()> {
        ensure!(!self.types.is_empty(), "asyncscope saw no task of the service from spawn to end");
        for (name, sums) in &self.types {
            ensure!(sums.misnamed.is_none(), "{name} goes by another name");
            ensure!(sums.polls.lived == sums.polls.seen, "{name}: the polls are not as many");
            ensure!(sums.busy.agrees(sums.tasks), "{name}: the busy time is not the truth");
            ensure!(sums.wait.agrees(sums.tasks), "{name}: the wait time is not the truth");
        }
        ensure!(self.parents.wrong == 0, "{} tasks have a wrong parent", self.parents.wrong);
        ensure!(self.missed == 0, "{} tasks were not seen from spawn to end", self.missed);
        Ok(())
    }
}

impl Pair {
    pub(super) fn add(&mut self, lived: u64, seen: u64) {
        self.lived = self.lived.saturating_add(lived);
        self.seen = self.seen.saturating_add(seen);
    }

    /// Returns how far `seen` is from `lived`, in percent of `lived`.
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    pub(super) fn percent(self) -> f64 {
        let difference = self.seen as f64 - self.lived as f64;
        100.0 * difference / (self.lived as f64).max(1.0)
    }

    pub(super) fn agrees(self, tasks: u64) -> bool {
        let small = self.seen.abs_diff(self.lived) <= tasks.saturating_mul(TOLERANCE_NS);
        small || self.percent().abs() <= TOLERANCE_PERCENT
    }
}

impl Parents {
    fn add(&mut self, lived: &Lived, seen: &SeenTask) {
        match (&seen.parent, lived.parent) {
            (Actor::Unknown(_), _) => self.unknown += 1,
            (Actor::Task(seen), Some(lived)) if *seen == lived => self.right += 1,
            (Actor::Root(_), None) => self.right += 1,
            _ => self.wrong += 1,
        }
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
