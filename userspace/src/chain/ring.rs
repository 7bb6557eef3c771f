//! Who waits for whom, and who waits in a ring.
//!
//! A lock does not say who has it. But where a live guard of that very lock lies in some suspended future,
//! that task has it; a full channel has room again only once the task with its receiver receives.

use std::collections::{BTreeMap, BTreeSet};

use super::{Held, Seen, Snapshot, TaskSnapshot, snapshot::Doing};
use crate::event::TaskId;

/// For whom a task waits at one of its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitsFor {
    /// The task that can end the wait.
    pub task: TaskId,
    /// What that task keeps; `None`: its end is waited for.
    pub held: Option<Held>,
}

/// The waits between tasks of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// For each task, for each of its leaves in order, for whom it waits, if that is known.
    by_task: BTreeMap<TaskId, Vec<Option<WaitsFor>>>,
}

impl Waits {
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

    /// For whom a task waits, leaf by leaf.
    #[must_use]
    pub fn of_task(&self, id: TaskId) -> &[Option<WaitsFor>] {
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
                let leaves = self.of_task(*id);
                let ends = |leaf: &Option<WaitsFor>| leaf.is_some_and(|leaf| stuck.contains(&leaf.task));
                !leaves.is_empty() && leaves.iter().all(ends)
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
            let Some(next) = self.of_task(at).first().copied().flatten() else { return Vec::new() };
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

fn waits_for(task: &TaskSnapshot, seen: Seen, holders: &Holders) -> Option<WaitsFor> {
    match seen {
        Seen::Until(_) => None,
        Seen::Task(header) => {
            let (_, id) = *task.joined.iter().find(|&&(joined, _)| joined == header)?;
            Some(WaitsFor { task: id, held: None })
        }
        Seen::Address(address) => holders.of_address(address),
    }
}

/// Who keeps what, by where the thing starts.
struct Holders(BTreeMap<u64, Vec<(TaskId, Held)>>);

impl Holders {
    fn of(snapshot: &Snapshot) -> Self {
        let mut by_start: BTreeMap<u64, Vec<(TaskId, Held)>> = BTreeMap::new();
        for task in &snapshot.tasks {
            for held in task.chain.iter().flat_map(|chain| &chain.nodes).flat_map(|node| &node.holds) {
                by_start.entry(held.start).or_default().push((task.id, *held));
            }
        }
        Self(by_start)
    }

    /// The one task that keeps the thing in which this address lies. Two that seem to cannot both have it.
    fn of_address(&self, address: u64) -> Option<WaitsFor> {
        let (&start, keepers) = self.0.range(..=address).next_back()?;
        let [(task, held)] = keepers.as_slice() else { return None };
        (address - start < u64::from(held.len)).then_some(WaitsFor { task: *task, held: Some(*held) })
    }
}
