//! What tasks still await at the end of a recording, which no later poll will show.

use anyhow::Result;
use probe_common::{
    chain::{FRAME_BITS, HASH_START, hash},
    record::FRAMES_MAX,
};

use super::event_pump::EventPump;
use crate::session::{
    attach::attached::Attached,
    clock::monotonic_ns,
    task_memory::{
        owned_tasks,
        reader::{TaskActivity, TaskReader},
    },
};
use asyncscope_trace::{
    chain::{TaskSnapshot, snapshot::Doing},
    event::{At, ChainFrame, Event, TaskRef, What},
};

/// No more tasks than this are read.
const TASKS_MAX: usize = 1 << 16;

/// Reads the tasks that wait, and returns what each awaits, as events of that time. Events that happen meanwhile go
/// to `sink`, and a task that they touch is left out.
pub(super) fn read(attached: &mut Attached, pump: &mut EventPump, sink: &mut impl FnMut(Event)) -> Result<Vec<Event>> {
    if attached.facts.frames.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(layouts) = &attached.layouts else { return Ok(Vec::new()) };
    let program = layouts.program.clone().moved(attached.bias.0);
    let mut activity = TaskActivity::default();
    let (headers, _) = owned_tasks::tasks(attached);
    let mut reader = TaskReader::new(&attached.process, &attached.vtables, &program, &attached.facts);
    let read = headers.into_iter().take(TASKS_MAX).filter_map(|header| reader.read(header));
    let readings: Vec<_> = read.filter(|reading| reading.task.state == Doing::Waiting).collect();
    let end = monotonic_ns();
    // Two rounds: the clock of the second is read after the first, and so after all readings.
    for _ in 0..2 {
        pump.round(attached, &mut |event| {
            activity.saw(&event);
            sink(event);
        })?;
    }
    let believed = readings.into_iter().filter(|reading| !activity.disturbed(reading));
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
