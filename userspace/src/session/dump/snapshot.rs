//! All tasks, read at one time; those that are disturbed are read again.

use std::time::Duration;

use anyhow::Result;

use super::watching::Watching;
use crate::session::{
    attach::attached::Attached,
    clock::monotonic_ns,
    task_memory::{
        owned_tasks,
        reader::{Reading, TaskReader},
    },
};
use asyncscope_trace::chain::{Program, Snapshot};

/// So often tasks are read again that were disturbed.
const REREADS: usize = 5;

/// Reads every task that is found, for no longer than `read_timeout`.
pub(super) fn take(
    attached: &mut Attached,
    watching: &mut Watching,
    program: &Program,
    read_timeout: Duration,
) -> Result<Snapshot> {
    let now = monotonic_ns();
    let until = now.saturating_add(u64::try_from(read_timeout.as_nanos()).unwrap_or(u64::MAX));
    watching.until(attached, now)?;
    let (mut headers, mut search) = owned_tasks::tasks(attached);
    search.listed = headers.len();
    headers.extend(watching.activity.headers());
    let mut snapshot = Snapshot { time_ns: now, search, ..Snapshot::default() };
    let mut left: Vec<u64> = headers.into_iter().collect();
    for rereads_left in (0..=REREADS).rev() {
        watching.activity.begin();
        let readings = read(attached, program, &mut left, until);
        snapshot.search.unread += std::mem::take(&mut left).len();
        watching.until(attached, monotonic_ns())?;
        let disturbed = believe(readings, watching, &mut snapshot);
        if rereads_left == 0 {
            snapshot.tasks.extend(disturbed.into_iter().map(Reading::torn));
        } else {
            left.extend(disturbed.iter().map(|reading| reading.task.header));
        }
        if left.is_empty() {
            break;
        }
    }
    snapshot.tasks.sort_by_key(|task| task.id);
    snapshot.tasks.dedup_by_key(|task| task.id);
    snapshot.search.only_seen = snapshot.tasks.len().saturating_sub(snapshot.search.listed);
    Ok(snapshot)
}

/// Reads tasks until the time is up, and leaves the headers of those that were not.
fn read(attached: &Attached, program: &Program, left: &mut Vec<u64>, until: u64) -> Vec<Reading> {
    let mut reader = TaskReader::new(&attached.process, &attached.vtables, program, &attached.facts);
    let mut readings = Vec::new();
    while monotonic_ns() < until
        && let Some(header) = left.pop()
    {
        readings.extend(reader.read(header));
    }
    readings
}

/// Takes the readings that no poll disturbed into the snapshot, and returns the others.
fn believe(readings: Vec<Reading>, watching: &Watching, snapshot: &mut Snapshot) -> Vec<Reading> {
    let is_disturbed = |reading: &Reading| watching.activity.disturbed(reading) && !reading.is_settled();
    let (disturbed, still): (Vec<_>, Vec<_>) = readings.into_iter().partition(is_disturbed);
    snapshot.thrown_away += disturbed.len() as u64;
    snapshot.tasks.extend(still.into_iter().map(|reading| reading.task));
    disturbed
}
