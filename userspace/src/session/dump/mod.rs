//! `dump`: every live task and what it awaits, read while it stands still and the target runs on.
//!
//! A reading is believed only if the task was idle when it began, and no poll of it began before it ended.
//! That a task is idle is in its state word; that no poll began is told by the hooks, which are armed all the
//! while. A poll takes its task from NOTIFIED to RUNNING, so one that is neither has none under way.

mod owned;
mod read;
pub(super) mod still;
mod threads;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    clock::monotonic_ns,
    http::By,
    live::Live,
    outputs::Wanted,
    privileges,
    start::{Armed, arm},
    watch::Watch,
};
use crate::probe::Options;
use asyncscope_discovery::{debug, error::TargetError, process::Process};
use asyncscope_model::{Config, Graph};
use asyncscope_trace::{
    chain::{Program, Snapshot},
    event::TaskId,
};
use asyncscope_view::dump::{self as view, Told};
use read::{Reader, Watched};

/// What to dump, and how.
#[derive(Clone, Debug)]
pub struct Dump {
    /// A process id or name.
    pub target: String,
    /// As a JSON object.
    pub json: bool,
    /// How long to watch before.
    pub watch: Duration,
    /// How long tasks are read, at most.
    pub within: Duration,
    /// How often in a row; each is printed.
    pub times: u32,
    /// Where names come from.
    pub names: debug::Options,
}

/// Between two looks at what the hooks saw.
const ROUND: Duration = Duration::from_millis(5);

/// Prints every live task and what it awaits.
///
/// # Errors
///
/// A sentence: what the target or the kernel refused.
pub fn dump(wanted: &Dump) -> Result<()> {
    let process = match wanted.target.parse() {
        Ok(pid) => Process::by_pid(pid)?,
        Err(_) => Process::by_name(&wanted.target)?,
    };
    let live = Live {
        target: vec![wanted.target.clone()],
        duration: None,
        wanted: Wanted::default(),
        options: Options::default(),
        names: wanted.names.clone(),
        awaits: true,
        blocked: false,
        follow: false,
        http: None,
        logs: false,
        by: By::Hooks,
        sampling: None,
    };
    let mut armed = arm(process, false, &live)?;
    privileges::lock_down()?;
    let program = match &armed.layouts {
        Ok(layouts) => layouts.program.clone().moved(armed.bias.0),
        Err(why) => {
            eprintln!("no await chains of {}: {why}", armed.facts.process.name.escape_debug());
            Program::default()
        }
    };
    let mut watching = Watching::new(&armed);
    watching.watch(&mut armed, wanted.watch)?;
    for _ in 0..wanted.times.max(1) {
        let snapshot = take(&mut armed, &mut watching, &program, wanted.within)?;
        if armed.process.became_another() {
            return Err(TargetError::BecameAnother(armed.process.pid).into());
        }
        print(wanted, &armed, &watching, &program, &snapshot)?;
    }
    armed.probe.disarm();
    Ok(())
}

/// What the hooks see meanwhile.
struct Watching {
    watch: Watch,
    graph: Graph,
    tasks: Watched,
}

impl Watching {
    fn new(armed: &Armed) -> Self {
        let graph = Graph::new(&Config::from(&armed.facts));
        Self { watch: Watch::new(armed), graph, tasks: Watched::default() }
    }

    fn watch(&mut self, armed: &mut Armed, time: Duration) -> Result<()> {
        let end = monotonic_ns().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        loop {
            self.round(armed)?;
            let left = end.saturating_sub(monotonic_ns());
            if left == 0 {
                return Ok(());
            }
            std::thread::sleep(ROUND.min(Duration::from_nanos(left)));
        }
    }

    /// Takes what was seen until now.
    fn round(&mut self, armed: &mut Armed) -> Result<()> {
        let Self { watch, graph, tasks } = self;
        watch.round(armed, &mut |event| {
            tasks.saw(&event);
            graph.apply(&event);
        })
    }

    /// Waits until all that happened before `time` has been seen.
    fn until(&mut self, armed: &mut Armed, time: u64) -> Result<()> {
        while self.tasks.seen_until < time {
            self.tasks.seen_until = monotonic_ns();
            self.round(armed)?;
        }
        Ok(())
    }
}

fn take(armed: &mut Armed, watching: &mut Watching, program: &Program, within: Duration) -> Result<Snapshot> {
    let now = monotonic_ns();
    let over = now.saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
    watching.until(armed, now)?;
    let (mut headers, mut search) = owned::tasks(armed);
    search.listed = headers.len();
    for header in watching.tasks.headers() {
        if !headers.contains(&header) {
            headers.insert(header);
        }
    }
    let mut snapshot = Snapshot { time_ns: now, search, ..Snapshot::default() };
    let mut left: Vec<u64> = headers.into_iter().collect();
    for last in [false, false, false, false, false, true] {
        watching.tasks.begin();
        let mut reader = Reader::new(&armed.process, &armed.vtables, program, &armed.facts);
        let mut readings = Vec::new();
        while monotonic_ns() < over
            && let Some(header) = left.pop()
        {
            readings.extend(reader.read(header));
        }
        snapshot.search.unread += std::mem::take(&mut left).len();
        let end = monotonic_ns();
        watching.until(armed, end)?;
        for reading in readings {
            if watching.tasks.disturbed(&reading) && !reading.is_settled() {
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

fn print(wanted: &Dump, armed: &Armed, watching: &Watching, program: &Program, snapshot: &Snapshot) -> Result<()> {
    let since = |id: TaskId| watching.graph.task(id).map(|task| task.phase().1);
    let told = Told { facts: &armed.facts, graph: &watching.graph, program, snapshot, since: &since };
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let written = if wanted.json { view::json(&told, out) } else { view::text(&told, out) };
    written.and_then(|()| out.flush()).context("cannot write to standard output")
}
