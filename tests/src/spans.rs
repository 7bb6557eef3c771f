//! Spans as a backend got them, and whether they say what the JSON lines of the same recording say.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use crate::seen::{Actor, Seen, SeenTask};

/// Spans by their ids.
pub type ById = BTreeMap<Vec<u8>, Span>;

/// Reads OTLP/JSON, a request a line.
///
/// # Errors
///
/// If a line is no such request.
pub fn parse(lines: &[String]) -> Result<Vec<ExportTraceServiceRequest>> {
    let parse = |line: &String| serde_json::from_str(line).with_context(|| format!("no OTLP/JSON: {line}"));
    lines.iter().map(parse).collect()
}

/// Returns what requests carried, however it was cut into batches: the distinct envelopes, and the spans by id.
///
/// # Errors
///
/// If a span comes twice.
pub fn gathered(requests: impl IntoIterator<Item = ExportTraceServiceRequest>) -> Result<(Vec<ResourceSpans>, ById)> {
    let (mut envelopes, mut spans) = (Vec::new(), BTreeMap::new());
    for mut resource in requests.into_iter().flat_map(|request| request.resource_spans) {
        for span in resource.scope_spans.iter_mut().flat_map(|scope| std::mem::take(&mut scope.spans)) {
            let twice = spans.insert(span.span_id.clone(), span);
            ensure!(twice.is_none(), "twice: {twice:?}");
        }
        if !envelopes.contains(&resource) {
            envelopes.push(resource);
        }
    }
    Ok((envelopes, spans))
}

/// Compares the spans with the tasks, one by one: a sentence for each difference.
#[must_use]
pub fn differences(spans: &ById, seen: &Seen) -> Vec<String> {
    let by_task: BTreeMap<u64, &Span> =
        spans.values().filter_map(|span| Some((number(&span.attributes, "asyncscope.task.id")?, span))).collect();
    let mut sides = Sides { spans, by_task, seen, wrong: Vec::new() };
    let tasks: BTreeSet<u64> = seen.tasks.values().filter(|task| !task.runtime).map(|task| task.task).collect();
    let reported: BTreeSet<u64> = sides.by_task.keys().copied().collect();
    if tasks != reported || reported.len() != spans.len() {
        let differ: Vec<_> = tasks.symmetric_difference(&reported).take(20).collect();
        sides.wrong.push(format!("{} tasks, {} spans, different: {differ:?}", tasks.len(), spans.len()));
    }
    for task in tasks.intersection(&reported) {
        sides.task(&seen.tasks[task]);
    }
    sides.wrong
}

struct Sides<'a> {
    spans: &'a ById,
    by_task: BTreeMap<u64, &'a Span>,
    seen: &'a Seen,
    wrong: Vec<String>,
}

impl Sides<'_> {
    fn task(&mut self, task: &SeenTask) {
        let span = self.by_task[&task.task];
        let reported = (text(&span.attributes, "asyncscope.end"), span.name.as_str(), span.kind);
        let how = task.end.as_ref().map_or("open", |end| end.how.as_str());
        self.equal(task, "end, name and kind", reported, (Some(how), task.name.as_str(), 1));
        let attribute = |key| number(&span.attributes, key).unwrap_or(u64::MAX);
        let reported =
            ["asyncscope.polls", "asyncscope.wakes", "busy_ns", "idle_ns", "asyncscope.ready_ns"].map(attribute);
        let idle = task.ready_ns + task.waiting_ns;
        self.equal(task, "sums", reported, [task.polls, task.wakes, task.busy_ns, idle, task.ready_ns]);
        let end = task.end.as_ref().map_or(self.seen.recording.end_ns, |end| end.time_ns);
        let times = (span.start_time_unix_nano, span.end_time_unix_nano);
        self.equal(task, "times", times, (self.unix(task.first_seen_ns), self.unix(end)));
        let failed = ["panicked", "cancelled", "aborted-while-running"].contains(&how);
        let status = span.status.as_ref().map_or(0, |status| status.code);
        self.equal(task, "status", status, if failed { 2 } else { 0 });
        self.parent(task, span);
        self.links(task, span);
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, task: &SeenTask, what: &str, reported: T, is: T) {
        if reported != is {
            self.wrong.push(format!("the {what} of task {}: {reported:?} reported, {is:?} seen", task.task));
        }
    }

    fn unix(&self, monotonic_ns: u64) -> u64 {
        let armed = self.seen.recording.armed;
        monotonic_ns + (armed.unix_ns - armed.monotonic_ns)
    }

    fn parent(&mut self, task: &SeenTask, span: &Span) {
        let parent = self.spans.get(&span.parent_span_id);
        let reported = parent.and_then(|parent| number(&parent.attributes, "asyncscope.task.id"));
        let is = if let Actor::Task(parent) = task.parent { Some(parent) } else { None };
        self.equal(task, "parent", reported, is);
        self.equal(task, "trace", parent.map(|parent| &parent.trace_id), is.map(|_| &span.trace_id));
        let why = if let Actor::Unknown(why) = &task.parent { Some(why.as_str()) } else { None };
        self.equal(task, "unknown parent", text(&span.attributes, "asyncscope.parent_unknown"), why);
    }

    fn links(&mut self, task: &SeenTask, span: &Span) {
        let mut is: BTreeMap<u64, u64> = BTreeMap::new();
        let useful = |did: &str| did == "made-ready" || did == "found-running";
        for wake in self.seen.wakes.iter().filter(|wake| wake.task == task.task && useful(&wake.did)) {
            if let Actor::Task(by) = wake.by
                && by != task.task
            {
                *is.entry(by).or_default() += 1;
            }
        }
        let mut reported = BTreeMap::new();
        for link in &span.links {
            let by = self.spans.get(&link.span_id).filter(|by| by.trace_id == link.trace_id);
            let by = by.and_then(|by| number(&by.attributes, "asyncscope.task.id")).unwrap_or(u64::MAX);
            reported.insert(by, number(&link.attributes, "asyncscope.wakes").unwrap_or(0));
        }
        if span.dropped_links_count == 0 {
            self.equal(task, "wakers", reported, is);
        }
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

/// An attribute that is a number.
#[must_use]
pub fn number(attributes: &[KeyValue], key: &str) -> Option<u64> {
    match value(attributes, key)? {
        Value::IntValue(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// An attribute that is text.
#[must_use]
pub fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}
