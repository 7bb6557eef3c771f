//! Sampling of CPU time: the hooks that it takes, and the place where a thread says which task it runs.

use std::collections::HashSet;

use anyhow::{Error, Result};
use probe_common::config::{EntryCookie, TransitionCookie, TransitionEvent};

use crate::probe::SamplingOptions;
use asyncscope_discovery::tokio::plan::{Plan, Program};
use asyncscope_trace::facts::{RunningTask, Sees};
use asyncscope_view::sentences;

/// Of 4 KiB, beside the one with the stack pointer: what is below a task's poll is seldom more.
const STACK_PAGES: u32 = 6;

/// Leaves out all hooks but those on spawns and shutdowns, which are rare next to polls; and, where samples are to
/// be shown by request, those on the ends of tasks. What sees HTTP is left out elsewhere.
pub(super) fn restrict(plan: &mut Plan, frequency_hz: u32, with_requests: bool) -> Result<SamplingOptions> {
    let place = plan.running_task().map_err(|why| {
        let why = sentences::running_unknown(&why);
        Error::msg(format!("CPU time cannot be sampled by task: {why}; --mode trace does not need that"))
    })?;
    const COMPLETE: [u64; 2] = [EntryCookie::Complete as u64, EntryCookie::CompleteUnsets as u64];
    plan.placements.retain_mut(|placement| match placement.program {
        Program::Spawn => {
            placement.program = Program::SpawnBy;
            true
        }
        Program::Shutdown => true,
        Program::Transition => {
            with_requests && TransitionCookie::unpack(placement.cookie).watch == TransitionEvent::TaskEnd
        }
        Program::TransitionEntry => with_requests && COMPLETE.contains(&placement.cookie),
        program => program.sees_http(),
    });
    let ends = plan
        .placements
        .iter()
        .filter(|placement| matches!(placement.program, Program::Transition | Program::TransitionEntry));
    let ends: HashSet<u64> = ends.map(|placement| placement.address.0).collect();
    plan.hooks.retain_mut(|hook| match hook.sees {
        Sees::Spawn | Sees::Shutdown | Sees::Http | Sees::Connection | Sees::Http2Head => true,
        Sees::PollEnd if hook.armed().is_some_and(|site| ends.contains(&site.address)) => {
            hook.sees = Sees::TaskEnd;
            true
        }
        _ => false,
    });
    if with_requests && ends.is_empty() {
        eprintln!("the ends of tasks cannot be seen in this build: no task that a request spawned is reported as its");
    }
    let RunningTask { below, tagged, .. } = place;
    plan.running = Some(place);
    Ok(SamplingOptions { frequency_hz, below, tagged, stack_pages: STACK_PAGES })
}
