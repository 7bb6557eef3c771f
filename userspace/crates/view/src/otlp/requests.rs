//! Requests, and the calls made for them, as spans.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, Status, span::SpanKind, status::StatusCode},
};

use super::Spans;
use super::attributes::{flag, losses, number, text};
use super::awaits;
use super::ids::SpanId;
use super::links::{LOCAL, REMOTE, SAMPLED, candidates};
use super::place::{SpanContext, TaskContext};
use crate::names::printable;
use asyncscope_model::{Call, Close, Closed, HeadLine, Ids, Request, RequestId};

/// A name's length in characters.
const MAX_NAME: usize = 200;
/// The methods that the conventions know.
const METHODS: [&str; 10] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"];

/// The span of a request, and those of what its task waited for; `None` where its trace is not wanted.
pub(super) fn of_request(spans: &Spans<'_>, request: &Request) -> Option<Vec<Span>> {
    let place = spans.place_of(request);
    if !place.sent {
        return None;
    }
    let context = request.ids.trace.filter(|_| !request.named_by_response);
    let mut attributes = described(&request.line, &request.ids, request.substream, request.grpc_status, spans);
    attributes.push(number("asyncscope.request.id", request.id.0));
    attributes.extend(request.task.map(|task| number("asyncscope.task.id", task.0)));
    if let Some(times) = &request.times {
        attributes.push(number("busy_ns", times.busy_ns()));
        attributes.push(number("idle_ns", times.ready_ns.saturating_add(times.waiting_ns)));
        attributes.push(number("asyncscope.ready_ns", times.ready_ns));
        attributes.push(number("asyncscope.waiting_ns", times.waiting_ns));
        attributes.extend(spans.off_cpu.then(|| number("asyncscope.off_cpu_ns", times.off_cpu_ns)));
    }
    attributes.extend(awaits::missing(&request.awaits));
    let outcome = SpanOutcome::of(request.end, 500);
    let server = Span {
        parent_span_id: context.map_or_else(Vec::new, |context| context.span_id.to_vec()),
        flags: if context.is_some() { REMOTE } else { SAMPLED },
        kind: SpanKind::Server.into(),
        ..span(spans, &place, request.opened_ns, request.end, &request.line, attributes, outcome)
    };
    let life = life(spans, request.opened_ns, request.end);
    let distance = spans.clock.distance(place.began_ns, request.opened_ns);
    let waits = awaits::below(spans, &request.awaits, &server, distance, life);
    Some(std::iter::once(server).chain(waits).collect())
}

fn life(spans: &Spans<'_>, opened_ns: u64, end: Option<Close>) -> (u64, u64) {
    (opened_ns, end.map_or(spans.graph.end_ns(), |end| end.time_ns).max(opened_ns))
}

/// The span of a call; `None` where its trace is not wanted.
pub(super) fn of_call(spans: &Spans<'_>, call: &Call) -> Option<Span> {
    let owner = spans.graph.owner_of_call(call);
    let of = owner.request().and_then(|id| spans.place(id)).filter(|place| place.began_ns <= call.opened_ns);
    let own_span = spans.ids.span("call", call.id.0);
    let (trace, parent) = match (of, call.ids.trace) {
        (Some(request), _) => (request.trace, Some(parent(spans, call, owner.request(), &request))),
        (None, Some(context)) => (context.trace_id, None),
        (None, None) => (spans.ids.own_trace("call's trace", call.id.0), None),
    };
    let sent = of.map_or_else(
        || call.ids.trace.is_none_or(|context| context.sampled != Some(false)) && spans.ratio.wants(trace),
        |request| request.sent,
    );
    if !sent {
        return None;
    }
    let span_id = owner.request().and_then(|id| passed_on(spans, call, id, trace)).unwrap_or(own_span);
    let place =
        SpanContext { trace, span: span_id, began_ns: of.map_or(call.opened_ns, |request| request.began_ns), sent };
    let mut attributes = described(&call.line, &call.ids, call.substream, call.grpc_status, spans);
    attributes.push(number("asyncscope.call.id", call.id.0));
    attributes.extend(call.task.map(|task| number("asyncscope.task.id", task.0)));
    // Without a request, the span that the head names is this one's parent, for all that is known.
    let remote = if of.is_none() { call.ids.trace.map(|context| context.span_id) } else { None };
    let outcome = SpanOutcome::of(call.end, 400);
    Some(Span {
        parent_span_id: parent.or(remote).map_or_else(Vec::new, |id| id.to_vec()),
        flags: if parent.is_some() {
            LOCAL
        } else if remote.is_some() {
            REMOTE
        } else {
            SAMPLED
        },
        kind: SpanKind::Client.into(),
        links: candidates(spans, &owner),
        ..span(spans, &place, call.opened_ns, call.end, &call.line, attributes, outcome)
    })
}

/// The task that wrote the call, if it is one of the request's own; else the request.
fn parent(spans: &Spans<'_>, call: &Call, owner: Option<RequestId>, request: &SpanContext) -> [u8; 8] {
    let task = call.task.and_then(|task| spans.graph.task(task));
    let notes = task.and_then(|task| task.history.as_ref().filter(|_| task.first_seen_ns <= call.opened_ns));
    match notes.and_then(|notes| spans.place_of_task(&notes.line).map(|place| (notes, place))) {
        Some((notes, TaskContext::Of(id, _))) if Some(id) == owner => spans.ids.task(notes.line.id),
        _ => request.span,
    }
}

/// The span id that the call's head names for it, if it is one made for it alone: the next service's spans
/// hang under that. A service that only passes on what it got, or gives several calls the same, names
/// another span.
fn passed_on(spans: &Spans<'_>, call: &Call, owner: RequestId, trace: [u8; 16]) -> Option<[u8; 8]> {
    let context = call.ids.trace.filter(|context| context.trace_id == trace)?;
    let request = spans.graph.request(owner)?;
    if request.ids.trace.is_some_and(|came| came.span_id == context.span_id) {
        return None;
    }
    let times = spans.passed_on().get(&context.span_id).copied().unwrap_or(0);
    (times == 1).then_some(context.span_id)
}

impl Spans<'_> {
    /// Counts the calls that bear each span id.
    fn passed_on(&self) -> &HashMap<SpanId, u32> {
        self.passed_on.get_or_init(|| {
            let mut times = HashMap::new();
            for context in self.graph.calls().filter_map(|call| call.ids.trace) {
                *times.entry(context.span_id).or_default() += 1;
            }
            times
        })
    }
}

/// The span's status and `error.type`.
struct SpanOutcome {
    attributes: Vec<KeyValue>,
    failed: Option<String>,
}

impl SpanOutcome {
    /// `error_from`: the least status that is an error of this side.
    fn of(end: Option<Close>, error_from: u16) -> Self {
        let error = |kind: &str| Self { attributes: vec![text("error.type", kind)], failed: Some(kind.to_owned()) };
        match end.map(|end| end.how) {
            None => Self { attributes: vec![flag("asyncscope.open")], failed: None },
            Some(Closed::Unknown) => Self { attributes: vec![flag("asyncscope.end_unknown")], failed: None },
            Some(Closed::Cancelled) => error("cancelled"),
            Some(Closed::Panicked) => error("panic"),
            Some(Closed::Answered { status }) => {
                let mut outcome = if status >= error_from {
                    // The status says it all: the conventions leave the description out.
                    Self { failed: Some(String::new()), ..error(&status.to_string()) }
                } else {
                    Self { attributes: Vec::new(), failed: None }
                };
                outcome.attributes.push(number("http.response.status_code", status.into()));
                outcome
            }
        }
    }

    fn status(&self) -> Status {
        match &self.failed {
            Some(message) => Status { message: message.clone(), code: StatusCode::Error.into() },
            None => Status::default(),
        }
    }
}

/// Returns a span with what requests and calls have in common.
fn span(
    spans: &Spans<'_>,
    place: &SpanContext,
    opened_ns: u64,
    end: Option<Close>,
    line: &HeadLine,
    mut attributes: Vec<KeyValue>,
    outcome: SpanOutcome,
) -> Span {
    let (_, end_ns) = life(spans, opened_ns, end);
    let distance = spans.clock.distance(place.began_ns, opened_ns);
    let status = outcome.status();
    attributes.extend(outcome.attributes);
    attributes.extend(losses(spans, (opened_ns, end_ns)));
    Span {
        trace_id: place.trace.to_vec(),
        span_id: place.span.to_vec(),
        trace_state: spans.ratio.trace_state(),
        name: name(line),
        start_time_unix_nano: distance.unix(opened_ns),
        end_time_unix_nano: distance.unix(end_ns),
        attributes,
        status: Some(status),
        ..Span::default()
    }
}

fn shown(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

fn method_of(line: &HeadLine) -> (&'static str, bool) {
    let known = METHODS.into_iter().find(|method| method.as_bytes() == &*line.method);
    known.map_or(("_OTHER", false), |method| (method, true))
}

fn name(line: &HeadLine) -> String {
    // The conventions' word for a method that is none.
    let method = Some(method_of(line)).filter(|(_, known)| *known).map_or("HTTP", |(method, _)| method);
    format!("{method} {}", shown(&line.path)).chars().take(MAX_NAME).collect()
}

fn described(line: &HeadLine, ids: &Ids, substream: u32, grpc: Option<u8>, spans: &Spans<'_>) -> Vec<KeyValue> {
    let (known, is_known) = method_of(line);
    let mut all = vec![text("http.request.method", known), text("url.path", shown(&line.path))];
    if !is_known {
        all.push(text("http.request.method_original", shown(&line.method)));
    }
    if line.cut {
        all.push(flag("asyncscope.path_cut"));
    }
    if substream != 0 {
        all.push(text("network.protocol.version", "2"));
    }
    if let Some(status) = grpc {
        all.extend([text("rpc.system", "grpc"), number("rpc.grpc.status_code", status.into())]);
    }
    if let Some(id) = ids.shown() {
        all.push(text("asyncscope.correlation.id", shown(&id.value)));
        let header = spans.headers.get(usize::from(id.header));
        all.extend(header.map(|header| text("asyncscope.correlation.header", printable(header))));
    }
    all
}
