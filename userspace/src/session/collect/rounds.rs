//! The drain loop of a live run: round by round, with what is said and done in between.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{event_pump::EventPump, progress::Progress, sink::Sink};
use crate::session::{attach::attached::Attached, clock};
use asyncscope_discovery::process::Process;

/// Between two drains of the ring buffers: a ring holds what a CPU can write in several of these.
const DRAIN_EVERY: Duration = Duration::from_millis(20);
/// The recording is flushed, and the line on the terminal updated, in one round out of this many.
const FLUSH_EVERY: u32 = 5;
/// Steps of the wall clock that are followed in one run.
const MAX_STEPS: usize = 1000;

/// Prints one line when all is in place, for people and for scripts that wait for it.
fn announce(attached: &Attached) {
    let hooks = attached.facts.hooks.iter().filter(|hook| hook.armed().is_some()).count();
    let missing = attached.facts.hooks.len() - hooks;
    let missing =
        if missing == 0 { String::new() } else { format!(", {missing} not found (see `asyncscope inspect`)") };
    let name = attached.facts.process.name.escape_debug();
    let sampling = match attached.facts.sampling {
        None => String::new(),
        Some(sampling) if sampling.requests => format!(
            ", CPU time sampled at {} Hz, by request (which costs the target a trap at each read and write)",
            sampling.frequency_hz
        ),
        Some(sampling) => format!(", CPU time sampled at {} Hz", sampling.frequency_hz),
    };
    let off_cpu = if attached.facts.off_cpu { ", and one on every switch between threads of this host" } else { "" };
    eprintln!("recording {name} (pid {}): {hooks} hooks armed{missing}{off_cpu}{sampling}", attached.process.pid);
}

/// Drains round by round, until the time is up, Ctrl-C, or the target's end.
pub(super) async fn drain(
    attached: &mut Attached,
    pump: &mut EventPump,
    sink: &mut Sink,
    duration: Option<Duration>,
) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    announce(attached);
    let mut ticks = interval(DRAIN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = duration.map(|duration| Instant::now() + duration);
    let progress = Progress::new();
    for round in 1u32.. {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = interrupted.recv() => break,
            _ = terminated.recv() => break,
        }
        sink.look(&attached.process);
        pump.round(attached, &mut |event| sink.take(event))?;
        if has_broken_off(attached, pump) {
            break;
        }
        if round.is_multiple_of(FLUSH_EVERY) {
            note_step(attached, sink);
            sink.tidy(&attached.facts);
            if library_is_gone(attached) {
                break;
            }
            progress.update(&sink.graph.totals());
            if sink.is_in_vain() || !attached.process.is_alive() {
                break;
            }
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            break;
        }
    }
    progress.end();
    Ok(())
}

/// Says so if there is nothing more to be seen: in another program, or with the hooks gone.
fn has_broken_off(attached: &Attached, pump: &EventPump) -> bool {
    if pump.became_another() {
        announce_another(&attached.process);
        return true;
    }
    if pump.is_blind() {
        eprintln!(
            "the first thread of process {} has left, without which hooks that are attached one by one see nothing: \
             the recording ends before that",
            attached.process.pid
        );
        return true;
    }
    false
}

/// Says so if the library whose tokio is watched was unloaded, and its hooks with it.
fn library_is_gone(attached: &Attached) -> bool {
    let Some(library) = attached.library.as_ref().filter(|library| library.is_gone(&attached.process)) else {
        return false;
    };
    // A process that ends has no memory either.
    let runs_on = !attached.process.is_ending() && !attached.process.became_another();
    if runs_on {
        eprintln!(
            "{} was unloaded by process {}, and the hooks with it: the recording ends",
            library.name.escape_debug(),
            attached.process.pid
        );
    }
    runs_on
}

/// Notes that the wall clock was set, which the recording and the spans have to know.
fn note_step(attached: &mut Attached, sink: &mut Sink) {
    let facts = &mut attached.facts;
    let last = facts.clock_steps.last().copied().unwrap_or(facts.armed);
    let Some(step) = clock::step_since(last).filter(|_| facts.clock_steps.len() < MAX_STEPS) else {
        return;
    };
    facts.clock_steps.push(step);
    sink.recorded(|recorder| recorder.facts(facts));
}

/// Says that the target is no longer what was attached to.
fn announce_another(process: &Process) {
    let what = process.executable_now().unwrap_or_default();
    eprintln!(
        "process {} became another program by exec ({}): the recording ends before that",
        process.pid,
        what.escape_debug()
    );
}
