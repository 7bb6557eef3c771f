//! The dump as one JSON object; docs/json.md describes it.

use std::io::{self, Write};

use serde::Serialize;

use super::DumpView;
use crate::names::DisplayNames;
use asyncscope_model::{Parent, Task};
use asyncscope_trace::{
    chain::{
        Held, Kept, LayoutSource, Seen, TaskSnapshot, frame_name,
        ring::{WaitCause, WaitGraph, WaitsFor},
        snapshot::Doing,
    },
    event::TaskId,
    facts::{AwaitFrame, AwaitKind, ProcessFacts},
};

/// The version of the format: raised when a field changes its meaning or goes.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct DumpObject<'a> {
    kind: &'static str,
    format: u32,
    process: &'a ProcessFacts,
    tokio: Option<&'a str>,
    tokio_versions: &'a [String],
    time_ns: u64,
    layouts: LayoutSource,
    search: SearchObject,
    thrown_away: u64,
    deadlocks: Vec<Vec<LinkObject>>,
    tasks: Vec<TaskObject<'a>>,
}

#[derive(Serialize)]
struct SearchObject {
    runtimes: usize,
    stated: Option<u64>,
    listed: usize,
    only_seen: usize,
    unread: usize,
    why_not: Option<&'static str>,
}

#[derive(Serialize)]
struct LinkObject {
    task: u64,
    waits_for: u64,
    keeps: Option<String>,
}

#[derive(Serialize)]
struct TaskObject<'a> {
    task: u64,
    #[serde(rename = "type")]
    type_name: String,
    state: &'static str,
    since_ns: Option<u64>,
    parent: Option<u64>,
    unread: Option<&'static str>,
    cut: Option<&'static str>,
    chain: Vec<FrameObject<'a>>,
}

#[derive(Serialize)]
struct FrameObject<'a> {
    depth: u16,
    name: &'a str,
    is: AwaitKind,
    file: Option<&'a str>,
    line: Option<u32>,
    until_line: Option<u32>,
    deadline_ns: Option<u64>,
    joins: Option<u64>,
    waits_for: Option<u64>,
    keeps: Option<String>,
    holds: Vec<ShareObject>,
}

/// Something that a frame keeps and others may wait for.
#[derive(Serialize)]
struct ShareObject {
    what: String,
    /// `None`: all there is, or an unknown part.
    count: Option<u64>,
}

/// Writes the object, and the end of its line.
///
/// # Errors
///
/// The writer's.
pub fn write(view: &DumpView<'_>, out: &mut dyn Write) -> io::Result<()> {
    let waits = WaitGraph::of(view.snapshot);
    let names = DisplayNames::new(view.graph, view.facts);
    let search = view.snapshot.search;
    let dump = DumpObject {
        kind: "dump",
        format: FORMAT,
        process: &view.facts.process,
        tokio: view.facts.tokio.as_deref(),
        tokio_versions: &view.facts.tokio_versions,
        time_ns: view.snapshot.time_ns,
        layouts: view.program.source,
        search: SearchObject {
            runtimes: search.runtimes,
            stated: search.stated,
            listed: search.listed,
            only_seen: search.only_seen,
            unread: search.unread,
            why_not: search.why_not,
        },
        thrown_away: view.snapshot.thrown_away,
        deadlocks: deadlocks(view, &waits),
        tasks: view.snapshot.tasks.iter().map(|one| task(view, &waits, &names, one)).collect(),
    };
    serde_json::to_writer(&mut *out, &dump)?;
    writeln!(out)
}

fn deadlocks(view: &DumpView<'_>, waits: &WaitGraph) -> Vec<Vec<LinkObject>> {
    let link =
        |(id, next): (TaskId, WaitsFor)| LinkObject { task: id.0, waits_for: next.task.0, keeps: keeps(view, &next) };
    waits.rings(view.snapshot).into_iter().map(|ring| ring.into_iter().map(link).collect()).collect()
}

fn keeps(view: &DumpView<'_>, next: &WaitsFor) -> Option<String> {
    view.program.frames.get(next.held()?.frame as usize).map(|frame| frame.name.clone())
}

fn share(view: &DumpView<'_>, held: &Held) -> Option<ShareObject> {
    let count = match held.kept {
        Kept::All | Kept::Writer(_) => None,
        Kept::Reader => Some(1),
        Kept::Permits(count) => count,
    };
    Some(ShareObject { what: view.program.frames.get(held.frame as usize)?.name.clone(), count })
}

fn task<'a>(
    view: &DumpView<'a>,
    waits: &WaitGraph,
    names: &DisplayNames<'_>,
    task: &'a TaskSnapshot,
) -> TaskObject<'a> {
    let parent = match view.graph.task(task.id).map(Task::parent) {
        Some(Parent::Task(id)) => Some(id.0),
        _ => None,
    };
    TaskObject {
        task: task.id.0,
        type_name: names.task_type(task.vtable),
        state: match task.state {
            Doing::Running => "running",
            Doing::Ready => "ready",
            Doing::Waiting => "waiting",
        },
        since_ns: (view.since)(task.id),
        parent,
        unread: super::text::unread(task.unread),
        cut: task.cut().map(super::text::why_cut),
        chain: frames(view, waits, task),
    }
}

fn frames<'a>(view: &DumpView<'a>, waits: &WaitGraph, task: &'a TaskSnapshot) -> Vec<FrameObject<'a>> {
    static UNKNOWN: AwaitFrame =
        AwaitFrame { name: String::new(), kind: AwaitKind::Unknown, file: None, line: None, until: None };
    let nodes = task.chain.as_ref().map_or(&[][..], |chain| &chain.nodes);
    let leaves = waits.of_task(task.id);
    let mut leaf = 0;
    let frame = |(at, node): (usize, &asyncscope_trace::chain::Node)| {
        let is_leaf = nodes.get(at + 1).is_none_or(|next| next.depth <= node.depth);
        let whom = if is_leaf { leaves.get(leaf).copied().flatten() } else { None };
        leaf += usize::from(is_leaf);
        let frame = view.program.frames.get(node.frame as usize).unwrap_or(&UNKNOWN);
        FrameObject {
            depth: node.depth,
            name: frame_name(&view.program.frames, nodes.iter().map(|node| (node.frame, node.depth)), at),
            is: frame.kind,
            file: frame.file.as_deref(),
            line: frame.line,
            until_line: frame.until,
            deadline_ns: node.seen.and_then(|seen| if let Seen::Until(ns) = seen { Some(ns) } else { None }),
            joins: whom.filter(|whom| whom.by == WaitCause::End).map(|whom| whom.task.0),
            waits_for: whom.map(|whom| whom.task.0),
            keeps: whom.and_then(|whom| keeps(view, &whom)),
            holds: node.holds.iter().filter_map(|held| share(view, held)).collect(),
        }
    };
    nodes.iter().enumerate().map(frame).collect()
}
