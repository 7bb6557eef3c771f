//! The comparison of one task.

use super::Sides;
use crate::seen::{Actor, SeenEnd, SeenPoll, SeenTask};
use crate::sources::function_at;
use crate::truth::TrueTask;

impl Sides<'_> {
    pub(super) fn task(&mut self, truth: &TrueTask, seen: &SeenTask) {
        self.result.tasks += 1;
        self.kind(truth, seen);
        self.parent(truth, seen);
        self.polls(truth, seen);
        self.end(truth, seen);
    }

    /// A task's states add up to its life, exactly.
    pub(super) fn states(&mut self, seen: &SeenTask) {
        let until = seen.end.as_ref().map_or(self.seen.recording.end_ns, |end| end.time_ns);
        let life = until.checked_sub(seen.first_seen_ns);
        let states = seen.running_ns + seen.ready_ns + seen.waiting_ns;
        if life != Some(states) {
            self.mistake(format!("task {} lives {life:?} ns, its states {states}", seen.task));
        }
    }

    fn kind(&mut self, truth: &TrueTask, seen: &SeenTask) {
        let id = seen.task;
        if seen.task_kind != "unknown" && seen.task_kind != truth.kind {
            self.mistake(format!("task {id} is {}, not {}", seen.task_kind, truth.kind));
        }
        // A task that does not count its polls is one whose name is looked for.
        if truth.polls.is_none() && seen.name != truth.name && !self.is_named_without_symbols(truth, seen) {
            self.mistake(format!("task {id} is called {}, not {}", seen.name, truth.name));
        }
    }

    /// Returns whether the name is one of those without symbols, and may be: a number, or the place of the very function.
    fn is_named_without_symbols(&self, truth: &TrueTask, seen: &SeenTask) -> bool {
        let at_function =
            || function_at(&seen.name).is_some_and(|function| truth.name.rsplit("::").next() == Some(&function));
        self.rules.unnamed && (seen.name.starts_with("task#") || at_function())
    }

    fn parent(&mut self, truth: &TrueTask, seen: &SeenTask) {
        let right = match &seen.parent {
            Actor::Task(parent) => truth.spawn.parent == Some(*parent) && !self.spawned_before_armed(truth),
            Actor::Root(root) => {
                let thread = !self.rules.threads || root.thread == truth.spawn.thread;
                truth.spawn.parent.is_none() && thread && !self.spawned_before_armed(truth)
            }
            Actor::Unknown(why) => self.may_be_unknown(truth, why),
            _ => false,
        };
        if !right {
            let (id, is, was) = (seen.task, &seen.parent, &truth.spawn);
            self.mistake(format!("task {id} has the parent {is:?}, not as in {was:?}"));
        } else if !matches!(seen.parent, Actor::Unknown(_)) {
            self.result.parents_known += 1;
        }
        let unseen = self.rules.unknown_parents && seen.born_ns.is_none();
        if seen.born_ns.is_some() == self.spawned_before_armed(truth) && !self.gaps && !unseen {
            self.mistake(format!("task {} is born at {:?}, not as in {:?}", seen.task, seen.born_ns, truth.spawn));
        }
    }

    fn may_be_unknown(&self, truth: &TrueTask, why: &str) -> bool {
        let in_early_poll = truth.spawn.poll_began.is_some_and(|began| began < self.armed());
        match why {
            _ if self.rules.unknown_parents => true,
            "unseen" => self.rules.unknown_completions || self.gaps,
            "before-attach" => self.spawned_before_armed(truth) || in_early_poll,
            _ => self.gaps,
        }
    }

    fn polls(&mut self, truth: &TrueTask, seen: &SeenTask) {
        let lines = self.seen.polls.get(&seen.task).map_or(0, |polls| polls.len() as u64);
        if lines != seen.polls {
            self.mistake(format!("task {} has {} polls, but {lines} lines of polls", seen.task, seen.polls));
        }
        let before = if self.seen.recording.from_first_instruction { truth.polls_before } else { 0 };
        let Some(lived) = truth.polls.map(|polls| polls + before) else { return };
        if seen.polls == lived + 1 && self.may_be_racing(truth, seen) {
            self.result.racing_polls += 1;
        } else if seen.polls == lived + 1 && self.may_be_late(truth, seen) {
            self.result.racing_polls += 1;
            self.result.late_polls += 1;
        } else if seen.polls > lived || (seen.polls < lived && !self.gaps) {
            let last = self.seen.polls.get(&seen.task).and_then(|polls| polls.last());
            let (id, aborts) = (seen.task, &truth.aborts);
            self.mistake(format!("task {id} has {} polls, not {lived}; {last:?}, {aborts:?}", seen.polls));
        }
    }

    /// Returns whether another thread was ending the task while its last poll seen began.
    fn may_be_racing(&self, truth: &TrueTask, seen: &SeenTask) -> bool {
        let last = self.seen.polls.get(&seen.task).and_then(|polls| polls.last());
        last.is_some_and(|poll| self.races(truth, poll))
    }

    /// Returns whether another thread was ending it where the thread was not running for a moment between the look at
    /// the task's state and that at the clock: what was seen as a start came later than the poll did, but not before the poll before it was over.
    fn may_be_late(&self, truth: &TrueTask, seen: &SeenTask) -> bool {
        let polls = self.seen.polls.get(&seen.task).map_or(&[][..], Vec::as_slice);
        let Some((last, before)) = polls.split_last() else { return false };
        let since = before.last().map_or(Some(seen.first_seen_ns), |before| before.end_ns);
        since.is_some_and(|since| self.races(truth, &SeenPoll { start_ns: since, ..last.clone() }))
    }

    fn races(&self, truth: &TrueTask, poll: &SeenPoll) -> bool {
        let aborts = truth.aborts.iter().filter(|abort| !self.rules.threads || abort.thread != poll.thread);
        truth.how == "cancelled"
            && (aborts.into_iter().any(|abort| overlaps(poll, abort.t0, abort.t1))
                || self.truth.shutdowns.iter().any(|&(t0, t1)| overlaps(poll, t0, t1)))
    }

    fn end(&mut self, truth: &TrueTask, seen: &SeenTask) {
        let Some(end) = &seen.end else {
            if !self.gaps {
                self.mistake(format!("task {} has no end", seen.task));
            }
            return;
        };
        if end.how == "panicked" && caught_at_last(truth) {
            self.result.caught_ends += 1;
        } else if self.rules.unseen_panics && truth.how == "panicked" && end.how == "completed" {
            self.result.unseen_panics += 1;
        } else if end.how != truth.how && !self.may_be_aborted(truth, end) {
            self.mistake(format!("task {} is {}, not {}", seen.task, end.how, truth.how));
        }
        if truth.ended.is_some_and(|ended| end.time_ns < ended) {
            self.mistake(format!("task {} ends at {}, before {:?}", seen.task, end.time_ns, truth.ended));
        }
    }

    /// Returns whether the task was asked to end while it ran, which leaves open how it then did.
    fn may_be_aborted(&self, truth: &TrueTask, end: &SeenEnd) -> bool {
        let asked = truth.aborts.iter().any(|abort| abort.t0 <= end.time_ns);
        let shut = self.truth.shutdowns.iter().any(|&(t0, _)| t0 <= end.time_ns);
        end.how == "aborted-while-running" && truth.how != "panicked" && (asked || shut)
    }
}

fn caught_at_last(truth: &TrueTask) -> bool {
    let polls = truth.polls.unwrap_or(0) + truth.polls_before;
    truth.how == "completed" && truth.caught.contains(&polls)
}

fn overlaps(poll: &SeenPoll, t0: u64, t1: u64) -> bool {
    poll.start_ns <= t1 && poll.end_ns.is_none_or(|end| t0 <= end)
}
