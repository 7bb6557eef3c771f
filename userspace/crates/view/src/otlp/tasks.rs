//! A task's span.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{
        Span, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};

use super::Spans;
use super::attributes::{flag, losses, number, text};
use super::awaits;
use super::events::events;
use super::links::{LOCAL, SAMPLED, candidates};
use super::place::TaskContext;
use crate::names::printable;
use asyncscope_model::{Gap, History, How, Lineage, Owner, Parent, Task, Waker, Why};
use asyncscope_trace::facts::TaskKind;

/// The span of a task, and those of its waits.
pub(super) fn spans(spans: &Spans<'_>, task: &Task) -> Option<Vec<Span>> {
    let notes = task.history.as_deref()?;
    let place = spans.place_of_task(&notes.line)?;
    let trace = place.trace()?;
    let began_ns = match &place {
        TaskContext::Of(_, request) => request.began_ns,
        TaskContext::Own(..) | TaskContext::Unsent => notes.line.root.first_seen_ns,
    };
    let start_ns = task.first_seen_ns;
    let end_ns = task.end().map_or(spans.graph.end_ns(), |end| end.time_ns).max(start_ns);
    let distance = spans.clock.distance(began_ns, start_ns);
    let parent = parent(spans, &notes.line, &place).map_or_else(Vec::new, |id| id.to_vec());
    let links = links(spans, task, notes, &place);
    let span = Span {
        trace_id: trace.to_vec(),
        span_id: spans.ids.task(task.id).to_vec(),
        trace_state: spans.ratio.trace_state(),
        flags: if parent.is_empty() { SAMPLED } else { LOCAL },
        parent_span_id: parent,
        name: printable(&spans.names.task_type(task.vtable)),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: distance.unix(start_ns),
        end_time_unix_nano: distance.unix(end_ns),
        attributes: attributes(spans, task, (start_ns, end_ns)),
        dropped_attributes_count: 0,
        events: events(spans, notes, distance, (start_ns, end_ns)),
        dropped_events_count: small(notes.more_happened),
        links,
        dropped_links_count: small(notes.more_wakes),
        status: Some(status(task)),
    };
    let waits = awaits::below(spans, &notes.awaits, &span, distance, (start_ns, end_ns));
    Some(std::iter::once(span).chain(waits).collect())
}

/// The task that spawned this one, if its span is in the same trace; else the request.
fn parent(spans: &Spans<'_>, line: &Lineage, place: &TaskContext) -> Option<[u8; 8]> {
    let request = match place {
        TaskContext::Of(_, request) => Some(request.span),
        TaskContext::Own(..) | TaskContext::Unsent => None,
    };
    let Some(above) = &line.up else {
        // The line is longer than is kept: whose an ancestor is beyond that is not known here.
        return request.or_else(|| line.parent.filter(|_| line.is_cut()).map(|parent| spans.ids.task(parent)));
    };
    let same = spans.place_of_task(above).and_then(|above| above.trace()) == place.trace();
    if same { Some(spans.ids.task(above.id)) } else { request }
}

fn small(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A task that ended as it should has no status: whether its result was an error is not seen.
fn status(task: &Task) -> Status {
    let message = match task.end().map(|end| end.how) {
        Some(How::Panicked) => "panicked",
        Some(How::Cancelled) => "cancelled",
        Some(How::AbortedWhileRunning) => "aborted during its last poll",
        Some(How::Completed | How::Unknown) | None => return Status::default(),
    };
    Status { message: message.to_owned(), code: StatusCode::Error.into() }
}

fn attributes(spans: &Spans<'_>, task: &Task, life: (u64, u64)) -> Vec<KeyValue> {
    let times = &task.times();
    let mut all = vec![
        number("asyncscope.task.id", task.id.0),
        number("busy_ns", times.busy_ns()),
        number("idle_ns", times.ready_ns.saturating_add(times.waiting_ns)),
        number("asyncscope.ready_ns", times.ready_ns),
        number("asyncscope.waiting_ns", times.waiting_ns),
        number("asyncscope.polls", task.polls),
        number("asyncscope.longest_poll_ns", times.longest_poll_ns),
        number("asyncscope.wakes", task.wakes),
        text("asyncscope.end", end(task)),
    ];
    if spans.off_cpu {
        all.push(number("asyncscope.off_cpu_ns", times.off_cpu_ns));
    }
    if times.nested_ns > 0 {
        all.push(number("asyncscope.nested_ns", times.nested_ns));
    }
    if let Some(kind) = kind(task.kind) {
        all.push(text("asyncscope.task.kind", kind));
    }
    if let Some(function) = spans.names.known_task_type(task.vtable) {
        all.push(text("code.function.name", printable(&function)));
    }
    if let Some(place) = spans.names.body(task.vtable) {
        all.push(text("code.file.path", printable(&place.file)));
        all.push(number("code.line.number", place.line.into()));
    }
    all.extend(origin(spans, task));
    match task.end().map(|end| end.how) {
        Some(How::Panicked) => all.push(text("error.type", "panic")),
        Some(How::Cancelled | How::AbortedWhileRunning) => all.push(text("error.type", "cancelled")),
        Some(How::Completed | How::Unknown) => {}
        None => all.push(flag("asyncscope.open")),
    }
    all.extend(task.history.as_ref().and_then(|notes| awaits::missing(&notes.awaits)));
    all.extend(losses(spans, life));
    all
}

fn end(task: &Task) -> &'static str {
    match task.end().map(|end| end.how) {
        Some(How::Completed) => "completed",
        Some(How::Cancelled) => "cancelled",
        Some(How::Panicked) => "panicked",
        Some(How::AbortedWhileRunning) => "aborted-while-running",
        Some(How::Unknown) => "unknown",
        None => "open",
    }
}

fn kind(kind: TaskKind) -> Option<&'static str> {
    match kind {
        TaskKind::Spawned => Some("spawned"),
        TaskKind::Local => Some("local"),
        TaskKind::Blocking => Some("blocking"),
        TaskKind::Unknown => None,
    }
}

/// Returns the thread that spawned the task, or why that is not known.
fn origin(spans: &Spans<'_>, task: &Task) -> Vec<KeyValue> {
    let mut all = Vec::new();
    if let Some(birth) = task.born() {
        all.push(number("thread.id", birth.thread.into()));
        all.extend(spans.names.thread(birth.thread).map(|name| text("thread.name", printable(name))));
    } else {
        all.push(flag("asyncscope.start_unknown"));
    }
    if let Parent::Unknown(why) = task.parent() {
        let why = match why {
            Why::BeforeAttach => "before-attach",
            Why::Gap => "gap",
            Why::Unseen => "unseen",
        };
        all.push(text("asyncscope.parent_unknown", why));
    }
    all
}

/// One for each task that woke this one, where nothing puts that in doubt and there is a span of it.
fn links(spans: &Spans<'_>, task: &Task, notes: &History, place: &TaskContext) -> Vec<Link> {
    let doubtful = |waker: &Waker| {
        let gap = |gap: &Gap| gap.since_ns <= waker.last_ns && gap.until_ns >= waker.first_ns;
        let waker_now = spans.graph.task(waker.lineage.id).and_then(|task| task.history.as_deref());
        spans.graph.gaps().iter().any(gap) || waker_now.is_some_and(|notes| notes.line.root != waker.lineage.root)
    };
    let certain = notes.wakers.iter().filter(|waker| waker.lineage.id != task.id && !doubtful(waker));
    let mut links: Vec<Link> = certain.filter_map(|waker| link(spans, waker)).collect();
    if let TaskContext::Own(_, requests) = place {
        links.extend(candidates(spans, &Owner::Ambiguous(requests.clone())));
    }
    links
}

fn link(spans: &Spans<'_>, waker: &Waker) -> Option<Link> {
    let trace = spans.place_of_task(&waker.lineage)?.trace()?;
    Some(Link {
        trace_id: trace.to_vec(),
        span_id: spans.ids.task(waker.lineage.id).to_vec(),
        trace_state: spans.ratio.trace_state(),
        attributes: vec![text("asyncscope.link", "woken-by"), number("asyncscope.wakes", waker.times)],
        dropped_attributes_count: 0,
        flags: LOCAL,
    })
}
