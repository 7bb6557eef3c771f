//! Spans of waits.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::*;
use asyncscope_model::MAX_AWAITS;
use asyncscope_trace::facts::{AwaitFrame, AwaitKind};

/// `svc::handle` at `src/svc.rs:7` awaits `svc::query` at `src/db.rs:9`, which awaits a timer; `join!` stands in
/// the lines 20 to 30.
pub(super) fn frames() -> Vec<AwaitFrame> {
    let frame = |name: &str, kind, place: Option<(&str, u32, Option<u32>)>| AwaitFrame {
        name: name.into(),
        kind,
        file: place.map(|(file, ..)| file.into()),
        line: place.map(|(_, line, _)| line),
        until: place.and_then(|(.., until)| until),
    };
    vec![
        frame("svc::handle", AwaitKind::Await, Some(("src/svc.rs", 7, None))),
        frame("svc::query", AwaitKind::Await, Some(("src/db.rs", 9, None))),
        frame("Sleep", AwaitKind::Leaf, None),
        frame("join!", AwaitKind::Await, Some(("src/svc.rs", 20, Some(30)))),
        frame("svc::both", AwaitKind::Await, Some(("src/svc.rs", 20, Some(30)))),
        frame("svc::handle", AwaitKind::Unstarted, None),
        frame("svc::Manual", AwaitKind::Future, None),
        frame("tokio::sync::mpsc::Receiver::recv", AwaitKind::Await, Some(("bounded.rs", 5, None))),
    ]
}

fn emitted(script: &str, options: &SpanOptions) -> Vec<Span> {
    let facts = Facts { frames: frames(), ..script::facts(false) };
    let spans = all(&mut script::with_span_detail(script, Some(NOTED)), &facts, options);
    keeps_the_rules(&spans);
    spans
}

fn waits(spans: &[Span]) -> Vec<&Span> {
    spans.iter().filter(|span| attribute(&span.attributes, "asyncscope.segment").is_some()).collect()
}

/// The spans of the waits of task 7 that was polled twice, and awaited this chain in between for 30 ns.
fn awaited(chain: &str) -> Vec<Span> {
    emitted(
        &format!(
            "1/0 frames 5 {chain}; 1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/80 name a; 2/80 wake 7; 1/90 poll 7; \
             1/90 awaited 7 5; 1/80 end 7 done"
        ),
        &tasks(),
    )
}

#[test]
fn a_wait_is_a_span_below_its_task_at_the_innermost_await() {
    let spans = awaited("0/0 1/1 2/2");
    let [wait] = waits(&spans)[..] else { panic!("{spans:?}") };
    assert_eq!((wait.name.as_str(), wait.kind), ("await svc::query", SpanKind::Internal as i32));
    assert_eq!((wait.start_time_unix_nano, wait.end_time_unix_nano), (40, 70));
    assert_eq!((&wait.parent_span_id, &wait.trace_id), (&spans[0].span_id, &spans[0].trace_id));
    let value = |key: &str| attribute(&wait.attributes, key).unwrap_or_default();
    assert_eq!([value("code.function.name"), value("code.file.path")], ["svc::query", "src/db.rs"]);
    assert_eq!([value("code.line.number"), value("asyncscope.awaited")], ["9", "Sleep"]);
    assert_eq!(value("asyncscope.ready_ns"), "10");
    assert_eq!(value("code.stacktrace"), "Sleep\nsvc::query src/db.rs:9\nsvc::handle src/svc.rs:7");
}

#[test]
fn beyond_a_fork_it_is_not_decided() {
    let spans = awaited("4/0 3/1 1/2 2/3 2/2");
    let [wait] = waits(&spans)[..] else { panic!("{spans:?}") };
    let value = |key: &str| attribute(&wait.attributes, key);
    assert_eq!(value("code.function.name").as_deref(), Some("svc::both"));
    // The line of a macro's await is not known.
    assert_eq!((value("code.file.path").as_deref(), value("code.line.number")), (Some("src/svc.rs"), None));
    assert_eq!(value("asyncscope.awaited").as_deref(), Some("join!"));
    // One branch is left.
    let spans = awaited("4/0 3/1 1/2 2/3");
    assert_eq!(waits(&spans)[0].name, "await svc::query");
}

#[test]
fn tokios_own_awaits_are_those_of_their_callers() {
    assert_eq!(waits(&awaited("0/0 7/1 2/2"))[0].name, "await svc::handle");
    assert_eq!(waits(&awaited("7/0 2/1"))[0].name, "await tokio::sync::mpsc::Receiver::recv");
}

#[test]
fn where_it_is_not_known_what_was_awaited_there_is_no_span() {
    for chain in ["5/0", "6/0", "6/0 1/1 0/1", "2/0", "9/0", ""] {
        let spans = awaited(chain);
        assert_eq!((spans.len(), waits(&spans).len()), (1, 0), "{chain}");
    }
    let not_emitted =
        "1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/80 name a; 1/80 name b; 1/90 poll 7; 1/90 awaited 7 5; 1/80 end 7";
    assert!(waits(&emitted(not_emitted, &tasks())).is_empty());
}

#[test]
fn short_waits_and_those_with_a_gap_are_not_emitted() {
    let with = |between: &str| {
        let script = format!(
            "1/0 frames 5 0/0 2/1; 1/90 spawn 7; 1/90 poll 7; 1/80 end 7; {between} 1/90 poll 7; 1/90 awaited 7 5; 1/80 end 7"
        );
        waits(&emitted(&script, &tasks())).len()
    };
    assert_eq!([with(""), with("1/80 name a;"), with("2/80 gap 45; 1/80 name a;")], [0, 1, 0]);
    // One that is known only afterwards.
    let late = "1/0 frames 5 0/0 2/1; 1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/80 name a; 1/90 poll 7; 1/90 awaited 7 5; 2/80 gap 55";
    assert!(waits(&emitted(late, &tasks())).is_empty());
}

#[test]
fn a_wait_that_goes_on_is_open() {
    let spans =
        emitted("1/0 frames 5 0/0 2/1; 1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/80 name a; 1/0 awaited 7 5", &tasks());
    let [wait] = waits(&spans)[..] else { panic!("{spans:?}") };
    assert_eq!(attribute(&wait.attributes, "asyncscope.open").as_deref(), Some("true"));
    assert_eq!((wait.start_time_unix_nano, wait.end_time_unix_nano), (40, 60));
}

#[test]
fn what_a_request_awaits_in_its_connections_task_is_below_it() {
    let spans = emitted(
        "1/0 frames 5 0/0 2/1; 1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/80 name a; 1/90 poll 7; 1/90 awaited 7 5; \
         1/80 read GET /a on 5; 1/80 end 7; 1/80 name b; 1/90 poll 7; 1/90 awaited 7 5; 1/80 write 200 on 5; 1/80 end 7; \
         1/80 name c; 1/90 poll 7; 1/90 awaited 7 5; 1/80 end 7",
        &SpanOptions::default(),
    );
    let [server, wait] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((wait.name.as_str(), &wait.parent_span_id), ("await svc::handle", &server.span_id));
    assert_eq!((wait.start_time_unix_nano, wait.end_time_unix_nano), (90, 110));
}

#[test]
fn what_is_beyond_the_bound_is_counted() {
    let rounds = "1/90 poll 7; 1/90 awaited 7 5; 1/80 end 7; 1/80 name a; ".repeat(MAX_AWAITS + 3);
    let spans = emitted(&format!("1/0 frames 5 0/0 2/1; 1/90 spawn 7; 1/80 name a; {rounds}"), &tasks());
    assert_eq!(waits(&spans).len(), MAX_AWAITS);
    assert_eq!(attribute(&spans[0].attributes, "asyncscope.dropped_awaits").as_deref(), Some("3"));
}

/// The streams that the rules are tested on are not so wild that no wait is ever reported.
#[test]
fn waits_are_emitted_of_any_events() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let count = |with_gaps: bool, runner: &mut TestRunner| -> usize {
        let one = |_| {
            let events = any_events().new_tree(runner).unwrap().current();
            let facts = facts(false, &[]);
            let mut graph = noting(&facts);
            let wanted = events.iter().filter(|event| with_gaps || !matches!(event.what, What::Gap { .. }));
            wanted.for_each(|event| graph.apply(event));
            graph.finish(5000);
            waits(&all(&mut graph, &facts, &tasks())).len()
        };
        (0..400).map(one).sum()
    };
    let (whole, lossy) = (count(false, &mut runner), count(true, &mut runner));
    assert!(whole > 100 && lossy > 10, "{whole} {lossy}");
}
