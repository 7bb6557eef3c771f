//! One request, in the order of time: its tasks under those that spawned them, who woke them, its calls.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

use super::labels::{id, number, path, status};
use super::log_lines::{stream, why_cut};
use super::names::{DisplayNames, printable, text};
use super::units::{human, time_of_day};
use asyncscope_model::{Call, Did, Evidence, Graph, LoggedLine, Parent, Request, Task, TaskIndex, Wake, WakeBy};
use asyncscope_trace::facts::{Driver, Facts};

/// Lines shown of one request.
const MAX_LINES: usize = 2000;
/// Levels of lineage by which lines are indented.
const MAX_INDENT: usize = 32;

/// Writes a request. Wakes are there with [`asyncscope_model::Detail::Intervals`] only.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, request: &Request, out: &mut dyn Write) -> io::Result<()> {
    let story = Story::new(graph, facts, request);
    story.head(out)?;
    let mut lines = story.lines();
    lines.sort_by_key(|line| line.at);
    for line in lines.iter().take(MAX_LINES) {
        let indent = line.depth.min(MAX_INDENT) * 2;
        writeln!(out, "  {:>9}  {:indent$}{}", offset(line.at, request), "", line.what)?;
    }
    match lines.len().saturating_sub(MAX_LINES) {
        0 => Ok(()),
        rest => writeln!(out, "  … and {rest} more lines"),
    }
}

fn offset(at: u64, request: &Request) -> String {
    format!("+{}", human(at.saturating_sub(request.opened_ns)))
}

struct Story<'a> {
    graph: &'a Graph,
    facts: &'a Facts,
    names: DisplayNames<'a>,
    request: &'a Request,
    /// The request's own tasks.
    tasks: BTreeSet<TaskIndex>,
    depths: HashMap<TaskIndex, usize>,
}

struct StoryLine {
    at: u64,
    depth: usize,
    what: String,
}

impl<'a> Story<'a> {
    fn new(graph: &'a Graph, facts: &'a Facts, request: &'a Request) -> Self {
        let own = |task: &Task| graph.owner(task.id).request() == Some(request.id);
        let tasks = graph.tasks().iter().filter(|(_, task)| own(task)).map(|(index, _)| index).collect();
        let mut story =
            Self { graph, facts, names: DisplayNames::new(graph, facts), request, tasks, depths: HashMap::new() };
        for &index in &story.tasks {
            let parent = match graph.tasks()[index].parent() {
                Parent::Task(id) => graph.index_of(id),
                Parent::Root(_) | Parent::Unknown(_) => None,
            };
            let depth = parent.and_then(|parent| story.depths.get(&parent)).map_or(1, |depth| depth + 1);
            let depth = if request.task == Some(graph.tasks()[index].id) { 0 } else { depth };
            story.depths.insert(index, depth);
        }
        story
    }

    fn head(&self, out: &mut dyn Write) -> io::Result<()> {
        let request = self.request;
        let took = request.duration_ns().map_or(String::new(), |took| format!(" after {}", human(took)));
        let status = status(request.end, request.grpc_status);
        writeln!(out, "{} {}: {status}{took}", printable(&text(&request.line.method)), path(request))?;
        writeln!(
            out,
            "  {} UTC, {}, ID {}",
            time_of_day(&self.facts.armed, request.opened_ns),
            number(request.id),
            id(request)
        )?;
        for value in &request.ids.values {
            let header = self.facts.correlation_headers.get(usize::from(value.header)).map_or("?", String::as_str);
            let made = if request.named_by_response { " (made here: only the response bears it)" } else { "" };
            writeln!(out, "  {}: {}{made}", printable(header), printable(&text(&value.value)))?;
        }
        if let Some(times) = &request.times {
            let (running, ready, waiting) = (human(times.running_ns), human(times.ready_ns), human(times.waiting_ns));
            let off_cpu =
                if self.facts.off_cpu { format!(", off-CPU {}", human(times.off_cpu_ns)) } else { String::new() };
            writeln!(out, "  running {running}{off_cpu}, ready {ready}, waiting {waiting}")?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<StoryLine> {
        let mut lines = vec![self.begin()];
        lines.extend(self.tasks.iter().flat_map(|&index| self.of_task(index)));
        lines.extend(self.graph.wakes().iter().filter_map(|wake| self.of_wake(wake)));
        let own = |call: &&Call| self.graph.owner_of_call(call).candidates().contains(&self.request.id);
        lines.extend(self.graph.calls().filter(own).flat_map(|call| self.of_call(call)));
        lines.extend(self.graph.log_lines().filter_map(|(_, line)| self.of_printed(line)));
        if let Some(end) = self.request.end {
            lines.push(StoryLine { at: end.time_ns, depth: 0, what: format!("request {}", status(Some(end), None)) });
        }
        lines
    }

    fn of_printed(&self, line: &LoggedLine) -> Option<StoryLine> {
        if !self.graph.owner_of_log_line(line).candidates().contains(&self.request.id) {
            return None;
        }
        let index = line.task.and_then(|task| self.graph.index_of(task));
        let depth = index.and_then(|index| self.depths.get(&index)).copied().unwrap_or(0);
        let cut = line.cut.map_or(String::new(), |cut| format!(" ({})", why_cut(cut)));
        Some(StoryLine {
            at: line.time_ns,
            depth,
            what: format!("{}{cut}: {}", stream(line.to), printable(&text(&line.text))),
        })
    }

    fn begin(&self) -> StoryLine {
        let by = self.request.task.map_or("served outside of every known task".to_owned(), |task| {
            format!("served by {}", self.task(self.graph.task(task), task.0))
        });
        StoryLine { at: self.request.opened_ns, depth: 0, what: by }
    }

    fn of_task(&self, index: TaskIndex) -> Vec<StoryLine> {
        let task = &self.graph.tasks()[index];
        let depth = self.depths.get(&index).copied().unwrap_or(0);
        let name = self.task(Some(task), task.id.0);
        let times = &task.times();
        let (busy, ready, waiting) = (human(times.busy_ns()), human(times.ready_ns), human(times.waiting_ns));
        let what = format!("{name}: {} polls, busy {busy}, ready {ready}, waiting {waiting}", task.polls);
        let mut lines = vec![StoryLine { at: task.first_seen_ns, depth, what }];
        if let Some(end) = task.end() {
            let how = format!("{:?}", end.how).to_lowercase();
            lines.push(StoryLine { at: end.time_ns, depth, what: format!("task {} {how}", task.id.0) });
        }
        lines
    }

    fn of_wake(&self, wake: &Wake) -> Option<StoryLine> {
        let index = self.graph.index_of(wake.task)?;
        let until = self.request.end.map_or(u64::MAX, |end| end.time_ns);
        let serving = self.request.task == Some(wake.task) && (self.request.opened_ns..=until).contains(&wake.time_ns);
        if wake.did != Did::MadeReady || !(serving || self.tasks.contains(&index)) {
            return None;
        }
        let depth = self.depths.get(&index).copied().unwrap_or(0);
        let what = format!("task {} woken by {}", wake.task.0, self.waker(wake.by));
        Some(StoryLine { at: wake.time_ns, depth, what })
    }

    fn waker(&self, by: WakeBy) -> String {
        match by {
            WakeBy::Task(id) => self.task(self.graph.task(id), id.0),
            WakeBy::Runtime(Some(Driver::Io)) => "I/O".to_owned(),
            WakeBy::Runtime(Some(Driver::Time)) => "a timer".to_owned(),
            WakeBy::Runtime(Some(Driver::Deferred)) | WakeBy::Own => "itself".to_owned(),
            WakeBy::Runtime(None) => "the runtime".to_owned(),
            WakeBy::Thread(tid) => {
                let name = self.names.thread(tid).map(printable);
                format!("thread {}", name.unwrap_or_else(|| tid.to_string()))
            }
            WakeBy::Unknown(_) => "someone not known".to_owned(),
        }
    }

    fn of_call(&self, call: &Call) -> Vec<StoryLine> {
        let line = format!("{} {}", printable(&text(&call.line.method)), printable(&text(&call.line.path)));
        let how = match self.graph.evidence_of_call(call) {
            Some(Evidence::Id) => "by its ID",
            Some(Evidence::Task) => "by the task that wrote it",
            Some(Evidence::Reply) => "by the reply",
            Some(Evidence::Exchange) => "by who gave it up, or read its response",
            Some(Evidence::Wake) => "likely: a task of this request woke the connection's before",
            None => "perhaps: other requests fit as well",
        };
        let open = if call.end.is_none() { ", not answered yet" } else { "" };
        let mut lines = vec![StoryLine { at: call.opened_ns, depth: 1, what: format!("call {line} ({how}){open}") }];
        if let Some(end) = call.end {
            let took = human(end.time_ns.saturating_sub(call.opened_ns));
            let what = format!("call {line}: {} after {took}", status(call.end, call.grpc_status));
            lines.push(StoryLine { at: end.time_ns, depth: 1, what });
        }
        lines
    }

    fn task(&self, task: Option<&Task>, id: u64) -> String {
        let name = task.map(|task| printable(&self.names.task_type(task.vtable)));
        format!("task {id} {}", name.unwrap_or_default())
    }
}
