//! `dump`: every live task and what it awaits, read while it stands still and the target runs on.
//!
//! A reading is believed only if the task was idle when it began, and no poll of it began before it ended.
//! That a task is idle is in its state word; that no poll began is told by the hooks, which are armed all the
//! while. A poll takes its task from NOTIFIED to RUNNING, so one that is neither has none under way.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    attach::{self, attached::Attached},
    clock::monotonic_ns,
    collect::event_pump::EventPump,
    plan::{AttachOptions, AwaitChains, DumpPlan},
    privileges,
    task_memory::{
        owned_tasks,
        reader::{TaskActivity, TaskReader},
    },
};
use asyncscope_discovery::{error::TargetError, process::Process};
use asyncscope_model::{Graph, Setup};
use asyncscope_trace::{
    chain::{Program, Snapshot},
    event::TaskId,
};
use asyncscope_view::dump::{self as view, Told};

/// Between two looks at what the hooks saw.
const ROUND: Duration = Duration::from_millis(5);

/// Prints every live task and what it awaits.
///
/// # Errors
///
/// A sentence: what the target or the kernel refused.
pub fn dump(plan: &DumpPlan) -> Result<()> {
    let process = match plan.target.parse() {
        Ok(pid) => Process::by_pid(pid)?,
        Err(_) => Process::by_name(&plan.target)?,
    };
    let options = AttachOptions { names: plan.names.clone(), awaits: AwaitChains::Read, ..AttachOptions::default() };
    let mut attached = attach::attach(process, false, &options)?;
    privileges::lock_down()?;
    let program = match &attached.layouts {
        Ok(layouts) => layouts.program.clone().moved(attached.bias.0),
        Err(why) => {
            eprintln!("no await chains of {}: {why}", attached.facts.process.name.escape_debug());
            Program::default()
        }
    };
    let mut watching = Watching::new(&mut attached);
    watching.watch(&mut attached, plan.watch)?;
    for _ in 0..plan.times.max(1) {
        let snapshot = take(&mut attached, &mut watching, &program, plan.within)?;
        if attached.process.became_another() {
            return Err(TargetError::BecameAnother(attached.process.pid).into());
        }
        print(plan, &attached, &watching, &program, &snapshot)?;
    }
    attached.probe.disarm();
    Ok(())
}

/// The target, watched meanwhile.
struct Watching {
    pump: EventPump,
    graph: Graph,
    activity: TaskActivity,
}

impl Watching {
    fn new(attached: &mut Attached) -> Self {
        let graph = Graph::new(&Setup::from(&attached.facts));
        Self { pump: EventPump::new(attached), graph, activity: TaskActivity::default() }
    }

    fn watch(&mut self, attached: &mut Attached, time: Duration) -> Result<()> {
        let end = monotonic_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        loop {
            self.round(attached)?;
            let left = end.saturating_sub(monotonic_ns());
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(ROUND.min(Duration::from_nanos(left)));
        }
    }

    /// Takes what was seen until now.
    fn round(&mut self, attached: &mut Attached) -> Result<()> {
        let Self { pump, graph, activity } = self;
        pump.round(attached, &mut |event| {
            activity.saw(&event);
            graph.apply(&event);
        })
    }

    /// Waits until all that happened before `time` has been seen.
    fn until(&mut self, attached: &mut Attached, time: u64) -> Result<()> {
        while self.activity.seen_until < time {
            self.activity.seen_until = monotonic_ns();
            self.round(attached)?;
        }
        Ok(())
    }
}

fn take(attached: &mut Attached, watching: &mut Watching, program: &Program, within: Duration) -> Result<Snapshot> {
    let now = monotonic_ns();
    let over = now.saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
    watching.until(attached, now)?;
    let (mut headers, mut search) = owned_tasks::tasks(attached);
    search.listed = headers.len();
    for header in watching.activity.headers() {
        if !headers.contains(&header) {
            headers.insert(header);
        }
    }
    let mut snapshot = Snapshot { time_ns: now, search, ..Snapshot::default() };
    let mut left: Vec<u64> = headers.into_iter().collect();
    for last in [false, false, false, false, false, true] {
        watching.activity.begin();
        let mut reader = TaskReader::new(&attached.process, &attached.vtables, program, &attached.facts);
        let mut readings = Vec::new();
        while monotonic_ns() < over
            && let Some(header) = left.pop()
        {
            readings.extend(reader.read(header));
        }
        snapshot.search.unread += std::mem::take(&mut left).len();
        let end = monotonic_ns();
        watching.until(attached, end)?;
        for reading in readings {
            if watching.activity.disturbed(&reading) && !reading.is_settled() {
                snapshot.thrown_away += 1;
                if last {
                    snapshot.tasks.push(reading.torn());
                } else {
                    left.push(reading.task.header);
                }
            } else {
                snapshot.tasks.push(reading.task);
            }
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

fn print(
    plan: &DumpPlan,
    attached: &Attached,
    watching: &Watching,
    program: &Program,
    snapshot: &Snapshot,
) -> Result<()> {
    let since = |id: TaskId| watching.graph.task(id).map(|task| task.phase().1);
    let told = Told { facts: &attached.facts, graph: &watching.graph, program, snapshot, since: &since };
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let written = if plan.json { view::json(&told, out) } else { view::text(&told, out) };
    written.and_then(|()| out.flush()).context("cannot write to standard output")
}
