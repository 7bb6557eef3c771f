//! Gaps: what missing events put in doubt.
//!
//! A gap is known only at its end. Until then, events of other CPUs were taken for the whole story,
//! though a thread may have been on the CPU with the gap in between: whatever was concluded since
//! the gap began is taken back. Whatever stood then is doubtful from now on, by its epoch.

use super::Graph;
use super::call::CallId;
use super::life::{Parent, Why};
use super::own::Kin;
use super::places::Places;
use super::printed::PrintedId;
use super::request::RequestId;
use super::wake::WakeBy;

/// A stretch of time in which events of one CPU are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The CPU.
    pub cpu: u16,
    /// The time of the last event before it, in nanoseconds.
    pub since_ns: u64,
    /// The time of the first event after it.
    pub until_ns: u64,
    /// How many events are missing.
    pub lost: u64,
}

/// Conclusions that a later gap may take back: time and index, oldest first. One that was taken
/// back leaves, so that each is looked at once however many gaps there are.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// The places of tasks, whose times are when they were first seen.
    pub(super) spawns: Places,
    pub(super) polls: Vec<(u64, usize)>,
    pub(super) wakes: Vec<(u64, usize)>,
    /// Tasks that were found to serve a stream.
    pub(super) kins: Vec<(u64, usize)>,
    pub(super) stretches: Vec<(u64, usize)>,
    /// Requests that closed.
    pub(super) requests: Vec<(u64, RequestId)>,
    /// Calls that opened or closed, or whose owner was found.
    pub(super) calls: Vec<(u64, CallId)>,
    pub(super) prints: Vec<(u64, PrintedId)>,
}

impl Graph {
    pub(super) fn gap(&mut self, cpu: u16, since: u64, lost: u64) {
        let since_ns = since.min(self.now);
        self.epoch += 1;
        self.totals.gaps += 1;
        self.totals.lost = self.totals.lost.saturating_add(lost);
        self.gaps.push(Gap { cpu, since_ns, until_ns: self.now, lost });
        self.take_back(since_ns);
    }

    fn take_back(&mut self, since: u64) {
        while let Some(child) = self.pop_spawn_since(since) {
            self.tasks[child].set_parent(Parent::Unknown(Why::Gap));
            self.start_notes(child);
            self.tasks[child].kin = Kin::Nobody;
        }
        while let Some(poll) = pop_since(&mut self.fresh.polls, since) {
            self.polls[poll].doubtful = true;
        }
        while let Some(wake) = pop_since(&mut self.fresh.wakes, since) {
            self.wakes[wake].by = WakeBy::Unknown(Why::Gap);
        }
        while let Some(child) = pop_since(&mut self.fresh.kins, since) {
            self.tasks[child].kin = Kin::Nobody;
        }
        while let Some(stretch) = pop_since(&mut self.fresh.stretches, since) {
            self.stretches[stretch].lost = true;
        }
        self.prints_gap(since);
        self.web_gap(since);
    }

    /// The newest of the fresh spawns, if it is not older; one of a task that has left is nobody's.
    fn pop_spawn_since(&mut self, since: u64) -> Option<usize> {
        let child = self.fresh.spawns.last()?;
        let is_older = self.tasks.get(child).is_some_and(|task| task.first_seen_ns < since);
        (!is_older).then(|| {
            self.fresh.spawns.pop();
            child
        })
    }
}

fn pop_since(fresh: &mut Vec<(u64, usize)>, since: u64) -> Option<usize> {
    fresh.pop_if(|(time, _)| *time >= since).map(|(_, index)| index)
}
