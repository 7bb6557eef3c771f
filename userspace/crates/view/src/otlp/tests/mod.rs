//! Spans of literal scripts, and the rules of OTLP for spans of any events whatsoever.

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, status::StatusCode};
use proptest::prelude::*;

use super::{Batch, Due, KnownSpans, SpanOptions, Spans, Traces};
use asyncscope_model::testing::{any_events, script};
use asyncscope_model::{Config, Graph, SpanDetail};
use asyncscope_trace::event::{Event, What};
use asyncscope_trace::facts::{ClockPair, Facts};

const NOTED: SpanDetail = SpanDetail { min_ns: 20 };

fn emit(graph: &Graph, facts: &Facts, options: &SpanOptions, known: &mut KnownSpans, batch: &Batch) -> Vec<Span> {
    let spans = Spans::new(graph, facts, options, known);
    let requests = batch.requests.iter().filter_map(|id| graph.request(*id));
    let calls = batch.calls.iter().filter_map(|id| graph.call(*id));
    let tasks = batch.tasks.iter().map(|place| &graph.tasks()[*place]);
    let emitted_now = requests.clone().flat_map(|request| spans.of_request(request));
    let emitted_now = emitted_now.chain(calls.filter_map(|call| spans.of_call(call)));
    let emitted_now = emitted_now.chain(tasks.flat_map(|task| spans.of_task(task))).collect();
    let places: Vec<_> = requests.map(|request| spans.to_remember(request)).collect();
    known.remember(places);
    emitted_now
}

fn rest(graph: &mut Graph, facts: &Facts, options: &SpanOptions, known: &mut KnownSpans, due: &mut Due) -> Vec<Span> {
    let batch = due.rest(graph);
    let mut all = emit(graph, facts, options, known, &batch);
    let spans = Spans::new(graph, facts, options, known);
    all.extend(graph.open().flat_map(|task| spans.of_task(task)));
    all
}

fn all(graph: &mut Graph, facts: &Facts, options: &SpanOptions) -> Vec<Span> {
    rest(graph, facts, options, &mut KnownSpans::default(), &mut Due::default())
}

fn tasks() -> SpanOptions {
    SpanOptions { traces: Traces::Tasks, ..SpanOptions::default() }
}

fn of(script: &str) -> Vec<Span> {
    let facts = script::facts(script.starts_with("attached;"));
    all(&mut script::with_span_detail(script, Some(NOTED)), &facts, &tasks())
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    })
}

/// `svc::handle 10-60 <- svc::query`: names and times of a span, and of its parent, if that is there.
fn shown(spans: &[Span]) -> Vec<String> {
    let name = |id: &[u8]| spans.iter().find(|span| span.span_id == id).map(|span| span.name.clone());
    let show = |span: &Span| {
        let times = format!("{} {}-{}", span.name, span.start_time_unix_nano, span.end_time_unix_nano);
        name(&span.parent_span_id).map_or(times.clone(), |parent| format!("{times} <- {parent}"))
    };
    spans.iter().map(show).collect()
}

#[test]
fn a_task_hangs_under_the_one_that_spawned_it() {
    let spans = of("1/90 spawn 7; 1/90 poll 7; 1/80 spawn 8; 1/80 end 7 done; 2/90 poll 8; 2/80 end 8 done");
    assert_eq!(shown(&spans), ["svc::handle 10-40", "svc::query 30-60 <- svc::handle"]);
    assert_eq!(spans[0].trace_id, spans[1].trace_id);
    assert_eq!(attribute(&spans[1].attributes, "code.function.name").unwrap(), "svc::query");
    assert_eq!(attribute(&spans[0].attributes, "asyncscope.end").unwrap(), "completed");
    assert_eq!(attribute(&spans[0].attributes, "busy_ns").unwrap(), "20");
    assert_eq!(attribute(&spans[0].attributes, "idle_ns").unwrap(), "10");
}

#[test]
fn roots_begin_traces_and_workers_have_no_span() {
    let spans = of("1/90 spawn 7; 1/90 spawn 8; 3/90 poll 900; 3/80 poll 7; 3/70 end 7 done");
    assert_eq!(spans.len(), 2);
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty()));
}

#[test]
fn what_happened_is_emitted_in_events() {
    let spans = of("1/90 spawn 7; 1/90 name a; 1/90 poll 7; 1/80 panic; 1/80 name b; 1/80 end 7 done");
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    let events: Vec<_> = span.events.iter().map(|event| (event.name.as_str(), event.time_unix_nano)).collect();
    assert_eq!(events, [("asyncscope.scheduling_delay", 10), ("asyncscope.long_poll", 30), ("exception", 40)]);
    assert_eq!(attribute(&span.events[2].attributes, "exception.stacktrace").unwrap(), "in task 7: svc::handle");
    assert_eq!(attribute(&span.events[1].attributes, "asyncscope.duration_ns").unwrap(), "30");
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (StatusCode::Error.into(), "panicked"));
    assert_eq!(attribute(&span.attributes, "error.type").unwrap(), "panic");
}

#[test]
fn a_cancelled_task_has_failed_and_an_open_one_says_so() {
    let spans = of(
        "1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 2/90 abort 7; 1/90 poll 7 cancelled; 1/80 end 7 aborted; 1/90 spawn 9",
    );
    assert_eq!(spans[0].status.as_ref().unwrap().message, "cancelled");
    assert_eq!(spans[0].events.last().unwrap().name, "asyncscope.abort");
    assert_eq!(attribute(&spans[1].attributes, "asyncscope.open").unwrap(), "true");
    assert_eq!(spans[1].end_time_unix_nano, 80);
}

#[test]
fn a_wake_is_a_link_with_a_count() {
    let spans = of("1/90 spawn 7; 1/90 spawn 8; 1/90 poll 7; 1/80 end 7; \
                    1/90 poll 8; 1/80 wake 7; 1/80 wake 7 notified; 1/80 end 8 done; 1/90 poll 7; 1/80 end 7 done");
    let woken = spans.iter().find(|span| span.name == "svc::handle").unwrap();
    let [link] = woken.links.as_slice() else { panic!("{:?}", woken.links) };
    let waker = spans.iter().find(|span| span.span_id == link.span_id).unwrap();
    assert_eq!((waker.name.as_str(), &waker.trace_id), ("svc::query", &link.trace_id));
    assert_eq!(attribute(&link.attributes, "asyncscope.wakes").unwrap(), "1");
}

#[test]
fn what_a_gap_puts_in_doubt_is_no_parent_and_no_link() {
    let spans = of("1/90 spawn 7; 1/90 poll 7; 1/80 spawn 8; 1/80 gap 20; 1/80 end 7 done");
    let child = spans.iter().find(|span| span.name == "svc::query").unwrap();
    assert!(child.parent_span_id.is_empty());
    assert_eq!(attribute(&child.attributes, "asyncscope.parent_unknown").unwrap(), "gap");
    assert_eq!(attribute(&child.attributes, "asyncscope.events_lost").unwrap(), "3");
    assert_ne!(spans[0].trace_id, spans[1].trace_id);
}

#[test]
fn exporting_again_gives_the_same_and_another_run_does_not() {
    let script = "1/90 spawn 7; 1/90 poll 7; 1/80 spawn 8; 1/80 end 7 done";
    assert_eq!(of(script), of(script));
    let other = Facts { run: "other".into(), ..script::facts(false) };
    let spans = all(&mut script::with_span_detail(script, Some(NOTED)), &other, &tasks());
    assert!(spans.iter().zip(of(script)).all(|(a, b)| a.trace_id != b.trace_id && a.span_id != b.span_id));
}

mod awaits;
mod requests;

/// The rules that hold for all spans of a run, each sent once.
fn keeps_the_rules(spans: &[Span]) {
    let by_id: HashMap<_, _> = spans.iter().map(|span| ((&span.trace_id, &span.span_id), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "an id twice");
    for span in spans {
        assert!(span.trace_id.len() == 16 && span.trace_id.iter().any(|byte| *byte != 0));
        assert!(span.span_id.len() == 8 && span.span_id.iter().any(|byte| *byte != 0));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        let remote = span.flags & SpanFlags::ContextIsRemoteMask as u32 != 0;
        if !span.parent_span_id.is_empty() && !remote {
            let parent = by_id.get(&(&span.trace_id, &span.parent_span_id));
            let parent = parent.unwrap_or_else(|| panic!("no parent: {span:?}"));
            assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{parent:?} {span:?}");
            // A task may outlive its parent; a part of one may not.
            let is_part = attribute(&span.attributes, "asyncscope.segment").is_some();
            assert!(!is_part || span.end_time_unix_nano <= parent.end_time_unix_nano, "{parent:?} {span:?}");
        }
        for event in &span.events {
            let inside = span.start_time_unix_nano..=span.end_time_unix_nano;
            assert!(inside.contains(&event.time_unix_nano) && !event.name.is_empty(), "{span:?}");
        }
        for link in &span.links {
            assert!(by_id.contains_key(&(&link.trace_id, &link.span_id)), "dangling: {link:?}");
        }
        let keys: HashSet<_> = span.attributes.iter().map(|attribute| &attribute.key).collect();
        assert_eq!(keys.len(), span.attributes.len(), "a key twice: {span:?}");
        assert!(!span.name.is_empty() && span.kind != 0);
    }
}

fn facts(attached: bool, steps: &[(u64, u64)]) -> Facts {
    let moment = |(monotonic_ns, distance): &(u64, u64)| ClockPair {
        monotonic_ns: *monotonic_ns,
        unix_ns: monotonic_ns + distance,
    };
    Facts {
        armed: ClockPair { monotonic_ns: 0, unix_ns: 50_000 },
        clock_steps: steps.iter().map(moment).collect(),
        frames: awaits::frames(),
        ..script::facts(attached)
    }
}

fn noting(facts: &Facts) -> Graph {
    Graph::new(&Config::from(facts).with_span_detail(Some(NOTED)))
}

/// As a live run does: what has been reported leaves the graph.
fn streamed(events: &[Event], facts: &Facts, options: &SpanOptions, every: usize) -> Vec<Span> {
    let (mut graph, mut due, mut known) = (noting(facts), Due::default(), KnownSpans::default());
    let mut spans = Vec::new();
    for some in events.chunks(every) {
        some.iter().for_each(|event| graph.apply(event));
        let batch = due.until(&mut graph, u64::MAX);
        spans.extend(emit(&graph, facts, options, &mut known, &batch));
        graph.evict(&batch.tasks);
    }
    graph.finish(5000);
    spans.extend(rest(&mut graph, facts, options, &mut known, &mut due));
    spans
}

proptest! {
    #[test]
    fn spans_of_any_events_keep_the_rules(
        events in any_events(),
        attached: bool,
        steps in prop::collection::vec((0u64..5000, 0u64..100_000), 0..4),
        ratio in prop::sample::select(vec!["1", "0.5", "0"]),
        traces in prop::sample::select(vec![Traces::Requests, Traces::Tasks]),
    ) {
        let facts = facts(attached, &steps);
        let options = SpanOptions { sampling: ratio.parse().unwrap(), traces };
        let mut graph = noting(&facts);
        events.iter().for_each(|event| graph.apply(event));
        graph.finish(5000);
        keeps_the_rules(&all(&mut graph, &facts, &options));
    }

    /// Without losses: a gap takes back what has been reported already.
    #[test]
    fn a_stream_emits_each_task_once_and_keeps_the_rules(events in any_events(), every in 1usize..50, of_tasks: bool) {
        let whole = events.into_iter().filter(|event| !matches!(event.what, What::Gap { .. }));
        let options = if of_tasks { tasks() } else { SpanOptions::default() };
        keeps_the_rules(&streamed(&whole.collect::<Vec<_>>(), &facts(false, &[]), &options, every));
    }
}

#[test]
fn a_stream_emits_the_same_as_a_whole_run() {
    let script = "1/90 spawn 7; 1/90 poll 7; 1/80 spawn 8; 1/80 end 7 done; 2/90 poll 8; 2/80 spawn 10; \
                  2/80 end 8 done; 1/90 poll 10; 1/80 spawn 12; 1/70 panic; 1/80 end 10 done; 1/90 poll 12; 1/80 end 12 done";
    let facts = script::facts(false);
    for every in 1..14 {
        let spans = streamed(&script::events(script), &facts, &tasks(), every);
        assert_eq!(spans, of(script), "{every}");
    }
    let spans = of(script);
    let panic = spans[2].events.iter().find(|event| event.name == "exception").unwrap();
    assert_eq!(
        attribute(&panic.attributes, "exception.stacktrace").unwrap(),
        "in task 10: svc::query\nspawned by task 8: svc::query\nspawned by task 7: svc::handle"
    );
}
