//! `attach` and `run`: from a target to outputs.

use std::{io, time::Duration};

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::{
    attach::{self, Started, attached::Attached},
    collect::{self, sink::Sink},
    command,
    outputs::Outputs,
    plan::LivePlan,
    privileges,
};
use asyncscope_discovery::process::Process;
use asyncscope_view::lost::Lost;

/// Attaches to a running process; its id may be meant as in the pid namespace of another one.
///
/// # Errors
///
/// A sentence: what the target or the kernel refused, or which output cannot be written.
pub fn attach(plan: &LivePlan, pid_namespace: Option<u32>) -> Result<()> {
    let name = plan.target.first().ok_or_else(|| anyhow!("no process given"))?;
    let process = match (name.parse(), pid_namespace) {
        (Ok(pid), Some(member)) => Process::by_pid_in_namespace_of(member, pid)?,
        (Ok(pid), None) => Process::by_pid(pid)?,
        (Err(_), Some(_)) => bail!("--pid-namespace takes a process id, not the name {name:?}"),
        (Err(_), None) => Process::by_name(name)?,
    };
    let outputs = plan.wanted.open()?;
    let attached = attach::attach(process, &plan.attach)?;
    record(attached, outputs, plan.duration, &mut io::stdout())
}

/// Starts a command and watches it from its first instruction on.
///
/// # Errors
///
/// As for [`attach()`]; the command is ended if it cannot be watched.
pub fn run(plan: &LivePlan) -> Result<()> {
    let outputs = plan.wanted.open()?;
    let mut child = command::start(&plan.target)?;
    let process = Process::by_pid(child.id()).map_err(Error::from);
    let started = match process.and_then(|process| attach::attach_started(process, &plan.attach)) {
        Ok(Started::Without(without)) if !without.may_load() => Err(without.refusal()),
        started => started,
    };
    let started = started.inspect_err(|_| child.end())?;
    child.let_go()?;
    let attached = match started {
        Started::Attached(attached) => *attached,
        // It ran on by then.
        Started::Without(without) => without.attach(&plan.attach, plan.duration).inspect_err(|_| child.reap())?,
    };
    // Standard output is the command's.
    let recorded = record(attached, outputs, plan.duration, &mut io::stderr());
    child.reap();
    recorded
}

/// Watches the target until the end, and makes the outputs; those without a file go to `text`.
fn record(
    mut attached: Attached,
    mut outputs: Outputs,
    duration: Option<Duration>,
    text: &mut dyn io::Write,
) -> Result<()> {
    let mut sink = Sink::new(&attached, &mut outputs)?;
    privileges::lock_down()?;
    // Threads that are started from here on have given up the privileges as well.
    sink.start_export(&mut outputs, &attached.facts)?;
    let lost = collect::until_the_end(&mut attached, &mut sink, duration)?;
    let Sink { mut graph, export, only_recorder, failed, .. } = sink;
    let silent = only_recorder || (export.is_some() && !outputs.need_tasks());
    if !silent {
        outputs.write(&graph, &attached.facts, &Lost::of(&lost, &graph), text)?;
    }
    export.map_or(Ok(()), |export| export.finish(&mut graph, &attached.facts))?;
    failed.map_or(Ok(()), |error| Err(error).context("cannot write the recording"))
}
