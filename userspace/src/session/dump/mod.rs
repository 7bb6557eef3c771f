//! `dump`: every live task and what it awaits, read while it stands still and the target runs on.
//!
//! A reading is believed only if the task was idle when it began, and no poll of it began before it ended.
//! That a task is idle is in its state word; that no poll began is known by the hooks, which are armed all the
//! while. A poll takes its task from NOTIFIED to RUNNING, so one that is neither has none under way.

mod snapshot;
mod watching;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use super::{
    attach::{self, attached::Attached},
    plan::{AttachOptions, AwaitChains, DumpPlan},
    privileges,
};
use asyncscope_discovery::{error::TargetError, process::Process};
use asyncscope_trace::{
    chain::{Program, Snapshot},
    event::TaskId,
};
use asyncscope_view::{
    dump::{self as dump_view, DumpView},
    sentences,
};
use watching::Watching;

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
    let mut attached = attach::attach(process, &options)?;
    privileges::lock_down()?;
    let program = match &attached.layouts {
        Ok(layouts) => layouts.program.clone().moved(attached.bias.0),
        Err(why) => {
            let why = sentences::no_layouts(*why);
            eprintln!("no await chains of {}: {why}", attached.facts.process.name.escape_debug());
            Program::default()
        }
    };
    let mut watching = Watching::new(&mut attached);
    watching.watch(&mut attached, plan.watch)?;
    for _ in 0..plan.times.max(1) {
        let snapshot = snapshot::take(&mut attached, &mut watching, &program, plan.read_timeout)?;
        if attached.process.became_another() {
            return Err(TargetError::BecameAnother(attached.process.pid).into());
        }
        print(plan, &attached, &watching, &program, &snapshot)?;
    }
    attached.probe.disarm();
    Ok(())
}

fn print(
    plan: &DumpPlan,
    attached: &Attached,
    watching: &Watching,
    program: &Program,
    snapshot: &Snapshot,
) -> Result<()> {
    let since = |id: TaskId| watching.graph.task(id).map(|task| task.phase().1);
    let view = DumpView { facts: &attached.facts, graph: &watching.graph, program, snapshot, since: &since };
    let out = &mut io::BufWriter::new(io::stdout().lock());
    let written = if plan.json { dump_view::json(&view, out) } else { dump_view::text(&view, out) };
    written.and_then(|()| out.flush()).context("cannot write to standard output")
}
