//! Who waits for whom, and who waits in a ring.
//!
//! A lock does not say who has it. But where a live guard of that very lock lies in some suspended future,
//! that task has it; a full channel has room again only once the task with its receiver receives. Where several may
//! have a share (readers of a lock) a wait is one for these only if the shares that were found make up the whole; a
//! semaphore does not know its whole, and may be given more at any time.

use std::collections::{BTreeMap, BTreeSet};

pub use super::waits_for::{WaitCause, WaitsFor};
use super::{
    Seen, Snapshot, TaskSnapshot,
    holders::{Holders, Needs},
    snapshot::Doing,
};
use crate::event::TaskId;

/// All that can end the wait of one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LeafWait {
    /// Not empty. A task that waits for itself as well is the last.
    whom: Vec<WaitsFor>,
    needs: Needs,
}

/// The waits between tasks of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct WaitGraph {
    /// For each task, for each of its leaves in order, for whom it waits, if that is known.
    by_task: BTreeMap<TaskId, Vec<Option<LeafWait>>>,
}

impl WaitGraph {
    /// Finds them.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let holders = Holders::of(snapshot);
        let by_task = snapshot.tasks.iter().filter_map(|task| {
            let leaves = task.chain.as_ref()?.leaves();
            Some((task.id, leaves.map(|leaf| waits_for(task, leaf.seen?, &holders)).collect()))
        });
        Self { by_task: by_task.collect() }
    }

    /// For whom a task waits at each of its leaves; where that is for several, for the first of them.
    #[must_use]
    pub fn of_task(&self, id: TaskId) -> Vec<Option<WaitsFor>> {
        self.leaves(id).iter().map(|leaf| leaf.as_ref()?.whom.first().copied()).collect()
    }

    fn leaves(&self, id: TaskId) -> &[Option<LeafWait>] {
        self.by_task.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Rings of tasks none of which can go on before another: each named once, from its lowest id on.
    ///
    /// A task is in one only if every leaf it waits at waits for a task that cannot go on either.
    #[must_use]
    pub fn rings(&self, snapshot: &Snapshot) -> Vec<Vec<(TaskId, WaitsFor)>> {
        let stuck = self.stuck(snapshot);
        let mut named = BTreeSet::new();
        let mut rings = Vec::new();
        for &start in &stuck {
            let ring = self.ring_from(start, &stuck);
            if !ring.is_empty() && ring.iter().all(|(id, _)| named.insert(*id)) {
                rings.push(ring);
            }
        }
        rings
    }

    fn stuck(&self, snapshot: &Snapshot) -> BTreeSet<TaskId> {
        let waits = snapshot.tasks.iter().filter(|task| task.state == Doing::Waiting && task.is_whole());
        let mut stuck: BTreeSet<TaskId> = waits.map(|task| task.id).collect();
        loop {
            let is_stuck = |id: &TaskId| {
                let leaves = self.leaves(*id);
                !leaves.is_empty() && leaves.iter().all(|leaf| leaf.as_ref().is_some_and(|wait| wait.lasts(&stuck)))
            };
            let left: BTreeSet<TaskId> = stuck.iter().copied().filter(is_stuck).collect();
            if left.len() == stuck.len() {
                return stuck;
            }
            stuck = left;
        }
    }

    /// The ring that following first leaves from here ends in, if `start` is the lowest of it.
    fn ring_from(&self, start: TaskId, stuck: &BTreeSet<TaskId>) -> Vec<(TaskId, WaitsFor)> {
        let mut way: Vec<(TaskId, WaitsFor)> = Vec::new();
        let mut at = start;
        while !way.iter().any(|&(id, _)| id == at) && stuck.contains(&at) {
            let first = self.leaves(at).first().and_then(Option::as_ref);
            let Some(next) = first.and_then(|wait| wait.first_of(stuck)) else { return Vec::new() };
            way.push((at, next));
            at = next.task;
        }
        let Some(first) = way.iter().position(|&(id, _)| id == at) else { return Vec::new() };
        let mut ring = way.split_off(first);
        let lowest = ring.iter().enumerate().min_by_key(|(_, (id, _))| *id).map_or(0, |(place, _)| place);
        ring.rotate_left(lowest);
        ring
    }
}

impl LeafWait {
    /// Returns `true` if it goes on for as long as these tasks do nothing.
    fn lasts(&self, stuck: &BTreeSet<TaskId>) -> bool {
        let mut are_stuck = self.whom.iter().map(|whom| stuck.contains(&whom.task));
        match self.needs {
            Needs::Every => are_stuck.any(|stuck| stuck),
            Needs::Some => are_stuck.all(|stuck| stuck),
        }
    }

    fn first_of(&self, stuck: &BTreeSet<TaskId>) -> Option<WaitsFor> {
        self.whom.iter().find(|whom| stuck.contains(&whom.task)).copied()
    }
}

fn waits_for(task: &TaskSnapshot, seen: Seen, holders: &Holders) -> Option<LeafWait> {
    let (mut whom, needs) = match seen {
        Seen::Until(_) => return None,
        Seen::Task(header) => {
            let (_, id) = *task.joined.iter().find(|&&(joined, _)| joined == header)?;
            (vec![WaitsFor { task: id, by: WaitCause::End }], Needs::Every)
        }
        Seen::Address(address) => (holders.of_whole(address)?, Needs::Every),
        Seen::Permits { address, wanted, .. } => holders.of_permits(task.id, address, wanted)?,
    };
    whom.sort_by_key(|whom| whom.task == task.id);
    Some(LeafWait { whom, needs })
}
