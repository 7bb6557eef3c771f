//! From attached hooks to events: drained, unwound, put in order, and handed on.

pub(crate) mod event_pump;
mod final_awaits;
mod find_current_task;
mod progress;
mod redact;
mod rounds;
mod sampler;
pub(crate) mod sink;
mod task_types;

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::attach::{attached::Attached, other_tokios};
use asyncscope_trace::facts::NotSeen;
use event_pump::EventPump;
use sink::Sink;

/// Hands on what the hooks see, until the time is up, Ctrl-C, or the target's end; then what is true at the end.
/// Returns what was not seen.
pub(crate) fn until_the_end(
    attached: &mut Attached,
    sink: &mut Sink,
    duration: Option<Duration>,
) -> Result<Vec<NotSeen>> {
    let mut pump = EventPump::new(attached);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a timer")?;
    runtime.block_on(rounds::drain(attached, &mut pump, sink, duration))?;
    let awaits = final_awaits::read(attached, &mut pump, &mut |event| sink.take(event))?;
    let end_ns = pump.end();
    let off_cpu = attached.probe.still_off_cpu();
    attached.probe.disarm();
    pump.last(attached, &mut |event| sink.take(event))?;
    other_tokios::announce_late(attached);
    sink.final_awaits(awaits, end_ns);
    pump.still_off_cpu(attached, &off_cpu, end_ns, &mut |event| sink.take(event));
    let lost = pump.lost();
    sink.learn(attached);
    sink.finish(end_ns, &lost);
    Ok(lost)
}
