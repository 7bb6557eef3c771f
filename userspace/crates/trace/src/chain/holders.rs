//! Who keeps what, and whether the shares that were found are all there are.

use std::collections::BTreeMap;

use super::{
    Held, Kept, Seen, Snapshot,
    waits_for::{WaitCause, WaitsFor},
};
use crate::event::TaskId;

/// Those of several keepers that have to give up what they keep for a wait to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Each of them.
    Every,
    /// It may be that one is enough.
    Some,
}

/// The keepers of things, by where the thing starts, and those who wait for permits, by where their semaphore is.
pub(super) struct Holders {
    kept: BTreeMap<u64, Vec<(TaskId, Held)>>,
    waiting: BTreeMap<u64, Vec<Waiting>>,
}

/// A leaf that waits for permits.
#[derive(Clone, Copy)]
struct Waiting {
    task: TaskId,
    wanted: u64,
    /// Permits that it has got, for as long as it waits.
    got: u64,
}

impl Holders {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut holders = Self { kept: BTreeMap::new(), waiting: BTreeMap::new() };
        for task in &snapshot.tasks {
            let nodes = task.chain.iter().flat_map(|chain| &chain.nodes);
            for node in nodes {
                for held in &node.holds {
                    holders.kept.entry(held.start).or_default().push((task.id, *held));
                }
                if let Some(Seen::Permits { address, wanted, missing }) = node.seen {
                    let waiting = Waiting { task: task.id, wanted, got: wanted.saturating_sub(missing) };
                    holders.waiting.entry(address).or_default().push(waiting);
                }
            }
        }
        holders
    }

    /// The one task that keeps all of the thing in which this address lies. Two that seem to cannot both have it.
    pub(super) fn of_whole(&self, address: u64) -> Option<Vec<WaitsFor>> {
        let (&start, keepers) = self.kept.range(..=address).next_back()?;
        let [(task, held)] = keepers.as_slice() else { return None };
        let is_it = address - start < u64::from(held.len) && held.kept == Kept::All;
        is_it.then(|| vec![WaitsFor { task: *task, by: WaitCause::Release(*held) }])
    }

    /// The tasks that have all permits of a semaphore between them, guards first; `None` where others may have some.
    /// What a lock has in all is known by a writer, which wants all of it or keeps it.
    pub(super) fn of_permits(&self, who: TaskId, address: u64, wanted: u64) -> Option<(Vec<WaitsFor>, Needs)> {
        let Some(keepers) = self.kept.get(&address).filter(|keepers| shares(keepers).is_some()) else {
            return Some((self.of_whole(address)?, Needs::Every));
        };
        let waiting = self.waiting.get(&address).map_or(&[][..], Vec::as_slice);
        let total = total(keepers, waiting)?;
        let got = waiting.iter().map(|waiting| waiting.got);
        let found = shares(keepers)?.checked_add(got.sum())?;
        (found == total).then_some(())?;
        let release = keepers.iter().map(|&(task, held)| WaitsFor { task, by: WaitCause::Release(held) });
        let turn = waiting.iter().filter(|waiting| waiting.got > 0 && waiting.task != who);
        let whom = release.chain(turn.map(|waiting| WaitsFor { task: waiting.task, by: WaitCause::Turn })).collect();
        // One who wants less than all may go on before all others have given up what they keep.
        Some((whom, if wanted == total { Needs::Every } else { Needs::Some }))
    }
}

/// Counts the permits of a lock that these keep; `None` where one of them keeps no share of that kind.
fn shares(keepers: &[(TaskId, Held)]) -> Option<u64> {
    keepers.iter().try_fold(0_u64, |sum, (_, held)| match held.kept {
        Kept::Reader => sum.checked_add(1),
        Kept::Writer(all) => sum.checked_add(all),
        Kept::All | Kept::Permits(_) => None,
    })
}

/// The number of permits that a lock for readers and writers has: all that know it must agree.
fn total(keepers: &[(TaskId, Held)], waiting: &[Waiting]) -> Option<u64> {
    let kept = keepers.iter().filter_map(|(_, held)| if let Kept::Writer(all) = held.kept { Some(all) } else { None });
    // A reader wants one.
    let mut known = kept.chain(waiting.iter().map(|waiting| waiting.wanted).filter(|&wanted| wanted > 1));
    let total = known.next()?;
    known.all(|other| other == total).then_some(total)
}
