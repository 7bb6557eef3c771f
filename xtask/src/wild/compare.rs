//! The comparison, task by task.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use asyncscope_tests::seen::{Actor, Seen};

use super::bpftrace::Entry;

/// Two clocks are read at one entry, one by each tool. So an entry this close to the begin or the end
/// of the watch may be on either side of it.
const EDGE_NS: u64 = 1_000_000;

/// Both counts.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) tasks: usize,
    pub(super) seen: u64,
    pub(super) counted: u64,
    /// Entries that bpftrace saw near the edges: the counts may differ by this many.
    pub(super) at_the_edges: u64,
    /// Entries that did not poll, as the task was over or cancelled.
    pub(super) no_polls: u64,
    /// Tasks of which the counts differ: id, type, polls seen, polls counted.
    pub(super) differ: Vec<(u64, String, u64, u64)>,
    /// Tasks spawned meanwhile (their ids are above all that bpftrace had seen before), and those of them
    /// whose parent is known.
    pub(super) born: u64,
    pub(super) with_parent: u64,
    /// Events that asyncscope lost.
    pub(super) lost: u64,
}

impl Comparison {
    pub(super) fn of(seen: &Seen, counted: &[Entry]) -> Self {
        let watched = seen.recording.watched();
        let (armed_ns, end_ns) = watched.clone().into_inner();
        let mut comparison = Self { lost: seen.recording.totals.lost, tasks: seen.tasks.len(), ..Self::default() };
        let inside = |entry: &&Entry| watched.contains(&entry.time_ns);
        let mut by_task: BTreeMap<u64, u64> = BTreeMap::new();
        for entry in counted.iter().filter(inside) {
            comparison.no_polls += u64::from(!entry.polls);
            *by_task.entry(entry.task).or_default() += u64::from(entry.polls);
        }
        let near = |entry: &&Entry| [armed_ns, end_ns].iter().any(|edge| edge.abs_diff(entry.time_ns) < EDGE_NS);
        comparison.at_the_edges = counted.iter().filter(near).filter(|entry| entry.polls).count() as u64;
        let before = counted.iter().filter(|entry| entry.time_ns < armed_ns);
        comparison.parents(seen, before.map(|entry| entry.task).max().unwrap_or_default());
        comparison.each_task(seen, &by_task);
        comparison
    }

    fn parents(&mut self, seen: &Seen, last_before: u64) {
        let born = || seen.tasks.range(last_before + 1..).map(|(_, task)| task);
        self.born = born().count() as u64;
        self.with_parent = born().filter(|task| !matches!(task.parent, Actor::Unknown(_))).count() as u64;
    }

    fn each_task(&mut self, seen: &Seen, counted: &BTreeMap<u64, u64>) {
        for (id, task) in &seen.tasks {
            self.add(*id, &task.name, task.polls, counted.get(id).copied().unwrap_or_default());
        }
        for (&id, &polls) in counted.iter().filter(|(id, _)| !seen.tasks.contains_key(id)) {
            self.add(id, "not seen", 0, polls);
        }
    }

    fn add(&mut self, id: u64, ty: &str, seen: u64, counted: u64) {
        self.seen += seen;
        self.counted += counted;
        if seen != counted {
            self.differ.push((id, ty.to_owned(), seen, counted));
        }
    }

    /// Checks that both report as many polls.
    ///
    /// # Errors
    /// Where they do not, with the first task of which they differ.
    pub(super) fn verdict(&self) -> Result<()> {
        ensure!(self.seen > 0, "asyncscope saw no poll");
        ensure!(self.lost == 0, "asyncscope lost {} events", self.lost);
        let apart: u64 = self.differ.iter().map(|(.., seen, counted)| seen.abs_diff(*counted)).sum();
        ensure!(
            apart <= self.at_the_edges,
            "{} tasks have other counts, by {apart} polls in all, of which {} may be at the edges; the first \
             (id, type, polls by asyncscope, by bpftrace): {:?}",
            self.differ.len(),
            self.at_the_edges,
            self.differ.first()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use asyncscope_tests::seen::{Armed, Recording, SeenTask};

    use super::*;

    fn watched(armed_ns: u64, end_ns: u64) -> Seen {
        let armed = Armed { monotonic_ns: armed_ns, ..Armed::default() };
        Seen { recording: Recording { armed, end_ns, ..Recording::default() }, ..Seen::default() }
    }

    /// The watch is from 10 ms to 90 ms; task 1 was seen to be polled so often.
    fn check(polls: u64, counted: &[(u64, u64, bool)], agree: bool) {
        let mut seen = watched(10_000_000, 90_000_000);
        seen.tasks.insert(1, SeenTask { polls, ..SeenTask::default() });
        let entry = |&(ms, task, polls): &(u64, u64, bool)| Entry { time_ns: ms * 1_000_000 + 500_000, task, polls };
        let counted: Vec<_> = counted.iter().map(entry).collect();
        assert_eq!(Comparison::of(&seen, &counted).verdict().is_ok(), agree, "{counted:?}");
    }

    #[test]
    fn parents_of_tasks_spawned_meanwhile() {
        let mut seen = watched(10, 90);
        for (id, parent) in [(3, Actor::Task(1)), (7, Actor::Task(1)), (9, Actor::Task(1)), (12, Actor::default())] {
            seen.tasks.insert(id, SeenTask { parent, ..SeenTask::default() });
        }
        let comparison = Comparison::of(&seen, &[Entry { time_ns: 5, task: 7, polls: true }]);
        assert_eq!((comparison.with_parent, comparison.born), (1, 2));
    }

    #[test]
    fn agrees_on_the_same_polls_only() {
        check(2, &[(20, 1, true), (30, 1, true)], true);
        check(2, &[(20, 1, true), (30, 1, true), (40, 1, true)], false);
        check(2, &[(20, 1, true)], false);
        check(1, &[(20, 1, true), (30, 2, true)], false);
        check(1, &[(20, 2, true)], false);
    }

    #[test]
    fn entries_that_do_not_poll_or_lie_outside_do_not_count() {
        check(1, &[(20, 1, true), (30, 1, false)], true);
        check(1, &[(5, 1, true), (20, 1, true), (95, 1, true)], true);
    }

    #[test]
    fn entries_at_the_edges_may_be_on_either_side() {
        check(1, &[(20, 1, true), (10, 1, true)], true);
        check(2, &[(20, 1, true), (90, 1, true)], true);
        check(3, &[(20, 1, true), (90, 1, true)], false);
    }
}
