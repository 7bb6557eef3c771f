//! The lines of requests and calls.

use probe_common::record::Source;

use super::lines::{CallLine, CloseLine, ConnectionLine, IdLine, LogLine, RequestLine, SegmentLine, TraceLine};
use crate::log_lines::{stream, why_cut};
use crate::names::text;
use asyncscope_model::{Call, Close, Closed, Graph, Ids, LoggedLine, Owner, Request, Segment, Trace};
use asyncscope_trace::event::Connection;
use asyncscope_trace::facts::Facts;

pub(super) fn request_line<'a>(request: &Request, facts: &'a Facts) -> RequestLine<'a> {
    RequestLine {
        request: request.id.0,
        connection: connection_line(request.connection, request.substream),
        method: text(&request.line.method),
        path: text(&request.line.path),
        path_cut: request.line.cut,
        ids: id_lines(&request.ids, facts),
        trace: request.ids.trace.as_ref().map(trace_line),
        named_by: if request.named_by_response { "response" } else { "request" },
        opened_ns: request.opened_ns,
        end: request.end.map(close_line),
        grpc_status: request.grpc_status,
        task: request.task.map(|task| task.0),
        running_ns: request.times.map(|times| times.running_ns),
        off_cpu_ns: request.times.filter(|_| facts.off_cpu).map(|times| times.off_cpu_ns),
        trap_ns: request.times.filter(|_| facts.off_cpu).map(|times| times.trap_ns),
        ready_ns: request.times.map(|times| times.ready_ns),
        waiting_ns: request.times.map(|times| times.waiting_ns),
        samples: None,
    }
}

pub(super) fn call_line<'a>(graph: &Graph, call: &Call, facts: &'a Facts) -> CallLine<'a> {
    let owner = graph.owner_of_call(call);
    CallLine {
        call: call.id.0,
        connection: connection_line(call.connection, call.substream),
        method: text(&call.line.method),
        path: text(&call.line.path),
        path_cut: call.line.cut,
        ids: id_lines(&call.ids, facts),
        trace: call.ids.trace.as_ref().map(trace_line),
        opened_ns: call.opened_ns,
        end: call.end.map(close_line),
        grpc_status: call.grpc_status,
        task: call.task.map(|task| task.0),
        request: owner.request().map(|id| id.0),
        candidates: candidates(&owner),
        evidence: graph.evidence_of_call(call),
    }
}

/// `None` where nothing is known of it.
pub(super) fn segment_line(graph: &Graph, segment: &Segment) -> Option<SegmentLine> {
    let owner = graph.owner_of_segment(segment);
    let answers = graph.answered_by(segment).map(|id| id.0);
    if owner == Owner::None && answers.is_none() {
        return None;
    }
    Some(SegmentLine {
        task: segment.task.0,
        from_ns: segment.from_ns,
        to_ns: segment.to_ns,
        request: owner.request().map(|id| id.0),
        candidates: candidates(&owner),
        answers,
    })
}

pub(super) fn log_line(graph: &Graph, line: &LoggedLine) -> LogLine {
    let owner = graph.owner_of_log_line(line);
    let ids = owner.request().and_then(|id| graph.request(id)).map(|request| &request.ids);
    LogLine {
        time_ns: line.time_ns,
        stream: stream(line.to),
        thread: line.thread,
        task: line.task.map(|task| task.0),
        unknown: line.unknown,
        request: owner.request().map(|id| id.0),
        candidates: candidates(&owner),
        id: ids.and_then(Ids::shown).map(|id| text(&id.value)),
        trace_id: ids.and_then(|ids| ids.trace.as_ref()).map(|trace| trace_line(trace).trace_id),
        text: text(&line.text),
        cut: line.cut.map(why_cut),
    }
}

/// All that it may be of, where that is not known.
pub(super) fn candidates(owner: &Owner) -> Vec<u64> {
    match owner {
        Owner::Ambiguous(ids) => ids.iter().map(|id| id.0).collect(),
        Owner::Request(_) | Owner::None => Vec::new(),
    }
}

fn connection_line(connection: Connection, stream: u32) -> ConnectionLine {
    let source = match connection.source {
        Source::Descriptor => "descriptor",
        Source::Tls => "tls",
        Source::Http2 => "http2",
    };
    ConnectionLine { source, key: connection.key, stream }
}

fn id_lines<'a>(ids: &Ids, facts: &'a Facts) -> Vec<IdLine<'a>> {
    let header = |header: u8| facts.correlation_headers.get(usize::from(header)).map_or("", String::as_str);
    let line = |id: &asyncscope_model::Id| IdLine { header: header(id.header), value: text(&id.value), cut: id.cut };
    ids.values.iter().map(line).collect()
}

fn trace_line(trace: &Trace) -> TraceLine {
    TraceLine {
        trace_id: format!("{:032x}", u128::from_be_bytes(trace.trace_id)),
        span_id: format!("{:016x}", u64::from_be_bytes(trace.span_id)),
        sampled: trace.sampled,
    }
}

fn close_line(close: Close) -> CloseLine {
    let (how, status) = match close.how {
        Closed::Answered { status } => ("answered", Some(status)),
        Closed::Cancelled => ("cancelled", None),
        Closed::Panicked => ("panicked", None),
        Closed::Unknown => ("unknown", None),
    };
    CloseLine { time_ns: close.time_ns, how, status }
}
