//! What tasks still await at the end of a recording, which no later poll will tell.

use anyhow::Result;
use probe_common::{
    chain::{FRAME_BITS, HASH_START, hash},
    record::FRAMES_MAX,
};

use super::{
    owned,
    read::{Reader, Watched},
};
use crate::session::{clock::monotonic_ns, start::Armed, watch::Watch};
use asyncscope_trace::{
    chain::{TaskSnapshot, snapshot::Doing},
    event::{At, ChainFrame, Event, TaskRef, What},
};

/// No more tasks than this are read.
const TASKS_MAX: usize = 1 << 16;

/// Reads the tasks that wait, and says what each awaits, as events of that time. Events that happen meanwhile go
/// to `sink`, and a task that they touch is left out.
pub(in crate::session) fn awaited(
    armed: &mut Armed,
    watch: &mut Watch,
    sink: &mut impl FnMut(Event),
) -> Result<Vec<Event>> {
    if armed.facts.frames.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(layouts) = &armed.layouts else { return Ok(Vec::new()) };
    let program = layouts.program.clone().moved(armed.bias.0);
    let mut watched = Watched::default();
    let (headers, _) = owned::tasks(armed);
    let mut reader = Reader::new(&armed.process, &armed.vtables, &program, &armed.facts);
    let read = headers.into_iter().take(TASKS_MAX).filter_map(|header| reader.read(header));
    let readings: Vec<_> = read.filter(|reading| reading.task.state == Doing::Waiting).collect();
    let end = monotonic_ns();
    // Two rounds: the clock of the second is read after the first, and so after all readings.
    for _ in 0..2 {
        watch.round(armed, &mut |event| {
            watched.saw(&event);
            sink(event);
        })?;
    }
    let believed = readings.into_iter().filter(|reading| !watched.disturbed(reading));
    Ok(believed.flat_map(|reading| events(&reading.task, end)).collect())
}

fn events(task: &TaskSnapshot, time: u64) -> Vec<Event> {
    let Some(nodes) = task.chain.as_ref().filter(|chain| chain.cut.is_none()).map(|chain| &chain.nodes) else {
        return Vec::new();
    };
    let frame = |node: &asyncscope_trace::chain::Node| ChainFrame {
        frame: node.frame,
        depth: u8::try_from(node.depth).unwrap_or(u8::MAX),
    };
    let frames: Vec<ChainFrame> = nodes.iter().take(FRAMES_MAX).map(frame).collect();
    let word = |frame: &ChainFrame| frame.frame | (u32::from(frame.depth) << FRAME_BITS);
    let chain = frames.iter().fold(HASH_START, |all, frame| hash(all, word(frame)));
    let whole = TaskRef { header: task.header, id: Some(task.id), vtable: task.vtable };
    let at = At { time, ..At::default() };
    let partial = nodes.len() > frames.len();
    vec![
        Event { at, what: What::Frames { chain, partial, frames } },
        Event { at, what: What::Awaited { task: whole, chain } },
    ]
}
