//! The dump as text.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Write},
};

use super::DumpView;
use crate::{
    names::{self, DisplayNames, printable},
    units::human,
};
use asyncscope_model::{Parent, Task};
use asyncscope_trace::{
    chain::{
        Cut, Held, Kept, LayoutSource, Node, Seen, TaskSnapshot, frame_name,
        ring::{WaitCause, WaitGraph, WaitsFor},
        snapshot::{Doing, Unread},
    },
    event::TaskId,
    facts::{AwaitFrame, AwaitKind},
};

/// Tasks inside tasks are drawn no deeper.
const INDENT_MAX: usize = 16;

/// Writes the tasks, each under the one that spawned it where that is known.
///
/// # Errors
///
/// The writer's.
pub fn write(view: &DumpView<'_>, out: &mut dyn Write) -> io::Result<()> {
    let waits = WaitGraph::of(view.snapshot);
    let mut text = Text { view, names: DisplayNames::new(view.graph, view.facts), waits: &waits, out };
    text.summary()?;
    text.rings()?;
    let children = children(view);
    let inside: HashSet<TaskId> = children.values().flatten().copied().collect();
    let by_id: HashMap<TaskId, &TaskSnapshot> = view.snapshot.tasks.iter().map(|task| (task.id, task)).collect();
    let mut todo: Vec<(TaskId, usize)> = Vec::new();
    for root in view.snapshot.tasks.iter().filter(|task| !inside.contains(&task.id)) {
        todo.push((root.id, 0));
        while let Some((id, indent)) = todo.pop() {
            if let Some(task) = by_id.get(&id).filter(|task| task.unread != Some(Unread::Runtime)) {
                text.task(task, indent)?;
            }
            todo.extend(children.get(&id).into_iter().flatten().rev().map(|&child| (child, indent + 1)));
        }
    }
    Ok(())
}

/// The live tasks that each task spawned.
fn children(view: &DumpView<'_>) -> BTreeMap<TaskId, Vec<TaskId>> {
    let alive: HashSet<TaskId> = view.snapshot.tasks.iter().map(|task| task.id).collect();
    let mut children: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
    for task in &view.snapshot.tasks {
        if let Some(Parent::Task(parent)) = view.graph.task(task.id).map(Task::parent)
            && alive.contains(&parent)
            && parent < task.id
        {
            children.entry(parent).or_default().push(task.id);
        }
    }
    children
}

struct Text<'a> {
    view: &'a DumpView<'a>,
    names: DisplayNames<'a>,
    waits: &'a WaitGraph,
    out: &'a mut dyn Write,
}

impl Text<'_> {
    fn summary(&mut self) -> io::Result<()> {
        let DumpView { facts, snapshot, .. } = self.view;
        let tokio = names::tokio(facts);
        let tasks: Vec<_> = snapshot.tasks.iter().filter(|task| task.unread != Some(Unread::Runtime)).collect();
        let count = |doing: Doing| tasks.iter().filter(|task| task.state == doing).count();
        let (waiting, ready, running) = (count(Doing::Waiting), count(Doing::Ready), count(Doing::Running));
        writeln!(
            self.out,
            "{} (pid {}), tokio {tokio}: {} tasks: {waiting} waiting, {ready} ready, {running} running",
            printable(&facts.process.name),
            facts.process.pid,
            tasks.len(),
        )?;
        writeln!(self.out, "{}", search(self.view))?;
        if snapshot.search.unread > 0 {
            writeln!(
                self.out,
                "{} tasks were not read: the time for it was over (--read-timeout)",
                snapshot.search.unread
            )?;
        }
        let torn = tasks.iter().filter(|task| task.unread == Some(Unread::Torn)).count();
        let source = match self.view.program.source {
            LayoutSource::Types => "frames by the futures' layouts",
            LayoutSource::Code => {
                "frames by machine code, as there is no type information: `FILE:LINE await N` is the Nth await of the \
                 async body that begins there, and futures written by hand may be missing"
            }
        };
        writeln!(
            self.out,
            "{source}; {} readings thrown away because a poll began, {torn} tasks did not hold still",
            snapshot.thrown_away
        )
    }

    fn rings(&mut self) -> io::Result<()> {
        let rings = self.waits.rings(self.view.snapshot);
        for ring in rings {
            writeln!(self.out, "\nDEADLOCK: none of these can go on before another")?;
            for (id, next) in ring {
                let name = self.name(id);
                writeln!(self.out, "  task {} {name} waits for {}", id.0, self.whom(&next))?;
            }
        }
        Ok(())
    }

    fn whom(&self, next: &WaitsFor) -> String {
        let task = self.name(next.task);
        let id = next.task.0;
        match next.by {
            WaitCause::Release(held) => format!("task {id} {task}, which keeps {}", self.kept(&held)),
            WaitCause::End => format!("the end of task {id} {task}"),
            WaitCause::Turn => format!("task {id} {task}, whose turn is before"),
        }
    }

    fn kept(&self, held: &Held) -> String {
        let frame = self.view.program.frames.get(held.frame as usize);
        frame.map_or_else(String::new, |frame| printable(&frame.name))
    }

    fn name(&self, id: TaskId) -> String {
        let task = self.view.snapshot.tasks.iter().find(|task| task.id == id);
        task.map_or_else(String::new, |task| printable(&self.names.task_type(task.vtable)))
    }

    fn task(&mut self, task: &TaskSnapshot, indent: usize) -> io::Result<()> {
        let indent = "  ".repeat(indent.min(INDENT_MAX));
        let doing = match task.state {
            Doing::Running => "running",
            Doing::Ready => "ready",
            Doing::Waiting => "waiting",
        };
        let since = (self.view.since)(task.id).map(|since| self.view.snapshot.time_ns.saturating_sub(since));
        let since = since.map_or_else(String::new, |ns| format!(" for {} or more", human(ns)));
        let name = printable(&self.names.task_type(task.vtable));
        writeln!(self.out, "\n{indent}task {} {name}  {doing}{since}{}", task.id.0, self.origin(task.id))?;
        if let Some(why) = unread(task.unread) {
            writeln!(self.out, "{indent}  ({why})")?;
        }
        let leaves = self.waits.of_task(task.id);
        let mut leaf = 0;
        let nodes = task.chain.as_ref().map_or(&[][..], |chain| &chain.nodes);
        for (at, node) in nodes.iter().enumerate() {
            let is_leaf = nodes.get(at + 1).is_none_or(|next| next.depth <= node.depth);
            let whom = if is_leaf { leaves.get(leaf).copied().flatten() } else { None };
            leaf += usize::from(is_leaf);
            let name = frame_name(&self.view.program.frames, nodes.iter().map(|node| (node.frame, node.depth)), at);
            self.node(node, name, &indent, whom)?;
        }
        match task.cut() {
            Some(cut) => writeln!(self.out, "{indent}  … ({})", why_cut(cut)),
            None => Ok(()),
        }
    }

    fn origin(&self, id: TaskId) -> String {
        match self.view.graph.task(id).map(Task::parent) {
            Some(Parent::Task(parent)) => format!(", spawned by task {}", parent.0),
            Some(Parent::Root(tid)) => {
                let name = self.names.thread(tid).map_or_else(|| tid.to_string(), printable);
                format!(", spawned by thread {name}")
            }
            _ => String::new(),
        }
    }

    fn node(&mut self, node: &Node, name: &str, indent: &str, whom: Option<WaitsFor>) -> io::Result<()> {
        let unknown = AwaitFrame::default();
        let frame = self.view.program.frames.get(node.frame as usize).unwrap_or(&unknown);
        let inside = "  ".repeat(usize::from(node.depth) + 1);
        let details = node.seen.map_or_else(String::new, |seen| self.details(seen));
        let state = match frame.kind {
            AwaitKind::Unstarted => " (not polled yet)",
            AwaitKind::Done => " (done)",
            AwaitKind::Unknown => " (of unknown type)",
            _ => "",
        };
        let place = place(frame).map_or_else(String::new, |place| format!("  {place}"));
        let whom = whom
            .filter(|whom| whom.by != WaitCause::End)
            .map_or_else(String::new, |whom| format!("  ← {}", self.whom(&whom)));
        writeln!(self.out, "{indent}{inside}{}{details}{state}{place}{whom}", printable(name))?;
        for (held, count) in node.holds.iter().filter_map(|held| Some((held, counted(held)?))) {
            writeln!(self.out, "{indent}{inside}  holds {count}: {}", self.kept(held))?;
        }
        Ok(())
    }

    fn details(&self, seen: Seen) -> String {
        match seen {
            Seen::Until(until) => {
                let now = self.view.snapshot.time_ns;
                let (sign, ns) = if until >= now { ('+', until - now) } else { ('-', now - until) };
                format!(" until {sign}{}", human(ns))
            }
            Seen::Task(header) => {
                let joined = self.view.snapshot.tasks.iter().flat_map(|task| &task.joined);
                let found = joined.into_iter().find(|&&(at, _)| at == header);
                found.map_or_else(String::new, |(_, id)| format!(" of task {}", id.0))
            }
            Seen::Address(_) | Seen::Permits { .. } => String::new(),
        }
    }
}

/// Says how many shares of a thing are kept that others may have some of as well.
fn counted(held: &Held) -> Option<String> {
    match held.kept {
        Kept::Reader => Some("1".to_owned()),
        Kept::Permits(count) => Some(count.map_or_else(|| "some".to_owned(), |count| count.to_string())),
        Kept::All | Kept::Writer(_) => None,
    }
}

pub(crate) fn place(frame: &AwaitFrame) -> Option<String> {
    let file = printable(frame.file.as_deref()?);
    Some(match (frame.line, frame.until) {
        (Some(line), Some(until)) if until != line => format!("{file}:{line}-{until}"),
        (Some(line), _) => format!("{file}:{line}"),
        _ => file,
    })
}

pub(super) fn unread(unread: Option<Unread>) -> Option<&'static str> {
    Some(match unread? {
        Unread::Running => "running: what it awaits next is not decided",
        Unread::Torn => "polled again and again while it was read",
        Unread::NoLayout => "the layout of its future is not known",
        Unread::Runtime => "the runtime's own",
    })
}

pub(super) fn why_cut(cut: Cut) -> &'static str {
    match cut {
        Cut::Unreadable => "memory that cannot be read",
        Cut::NoSuchState => "a value that its type does not have",
        Cut::TooLong => "too long",
    }
}

fn search(view: &DumpView<'_>) -> String {
    let search = view.snapshot.search;
    match (search.why_not, search.stated) {
        (Some(why), _) => format!("only tasks that were polled, woken or spawned meanwhile: {why}"),
        (None, Some(stated)) => format!(
            "{} of {stated} tasks in the lists of {} runtimes, {} seen otherwise (LocalSet's, blocking)",
            search.listed, search.runtimes, search.only_seen
        ),
        (None, None) => {
            format!(
                "{} tasks in the lists of {} runtimes, {} seen otherwise",
                search.listed, search.runtimes, search.only_seen
            )
        }
    }
}
