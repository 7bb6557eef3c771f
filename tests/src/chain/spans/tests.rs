//! Two requests that were reported rightly, one with a `traceparent` and one with an ID, and every way to say
//! them otherwise.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use super::*;
use crate::chain::claims::Claims;
use crate::chain::truth::{Left, Truth};

const CAME: &str = "00-000000000000000000000000000000ab-0000000000000001-01";
const CALLED: &str = "00-000000000000000000000000000000ab-0000000000000002-01";

fn front() -> String {
    format!(
        r#"{{"kind":"task","task":11,"parent":21,"request":1,"role":"spawned"}}
{{"kind":"task","task":12,"parent":11,"request":1,"role":"blocking"}}
{{"kind":"task","task":13,"parent":14,"request":1,"role":"by-actor"}}
{{"kind":"task","task":14,"parent":null,"request":null,"role":"actor"}}
{{"kind":"call","request":1,"header":"traceparent","id":"{CALLED}","method":"GET","path":"/next/1","begin_ns":120,"end_ns":170,"how":"answered","status":200,"grpc":null}}
{{"kind":"call","request":2,"header":"x-request-id","id":"b","method":"GET","path":"/next/2","begin_ns":120,"end_ns":170,"how":"answered","status":200,"grpc":null}}
{{"kind":"call","request":2,"header":null,"id":null,"method":"GET","path":"/quiet/2","begin_ns":120,"end_ns":170,"how":"answered","status":200,"grpc":null}}
{{"kind":"request","request":1,"header":"traceparent","id":"{CAME}","made":null,"method":"GET","path":"/1","task":21,"begin_ns":110,"end_ns":180,"how":"answered","status":200,"grpc":null}}
{{"kind":"request","request":2,"header":"x-request-id","id":"b","made":null,"method":"GET","path":"/2","task":22,"begin_ns":110,"end_ns":180,"how":"panicked","status":null,"grpc":null}}"#
    )
}

fn middle() -> String {
    format!(
        r#"{{"kind":"request","request":1,"header":"traceparent","id":"{CALLED}","made":null,"method":"GET","path":"/next/1","task":21,"begin_ns":130,"end_ns":160,"how":"answered","status":200,"grpc":null}}
{{"kind":"request","request":2,"header":"x-request-id","id":"b","made":null,"method":"GET","path":"/next/2","task":21,"begin_ns":130,"end_ns":160,"how":"answered","status":200,"grpc":null}}
{{"kind":"request","request":3,"header":null,"id":null,"made":null,"method":"GET","path":"/quiet/2","task":21,"begin_ns":130,"end_ns":160,"how":"answered","status":200,"grpc":null}}"#
    )
}

const TRACE: u128 = 0xab;

fn trace_b() -> u128 {
    u128::from_be_bytes(trace_of_id(b"b", 100))
}

fn span(kind: SpanKind, ids: (u128, u64, u64), times: (u64, u64)) -> Span {
    let (trace, span, parent) = ids;
    let parent_span_id = if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() };
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: span.to_be_bytes().to_vec(),
        parent_span_id,
        kind: kind.into(),
        start_time_unix_nano: times.0,
        end_time_unix_nano: times.1,
        ..Span::default()
    }
}

fn with(mut span: Span, key: &str, value: Value) -> Span {
    span.attributes.push(KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    });
    span
}

fn head(kind: SpanKind, path: &str, id: &str, ids: (u128, u64, u64), times: (u64, u64)) -> Span {
    let span = with(span(kind, ids, times), "url.path", Value::StringValue(path.to_owned()));
    let span = with(span, "http.response.status_code", Value::IntValue(200));
    if id.is_empty() { span } else { with(span, "asyncscope.correlation.id", Value::StringValue(id.to_owned())) }
}

fn task(task: i64, ids: (u128, u64, u64), times: (u64, u64)) -> Span {
    with(span(SpanKind::Internal, ids, times), "asyncscope.task.id", Value::IntValue(task))
}

/// The spans of `front`, by their places: 0 and 1 are the requests, 2 to 4 tasks of the first, 5 a connection's
/// task, 6 to 8 calls.
fn of_front() -> Vec<Span> {
    let failed = head(SpanKind::Server, "/2", "b", (trace_b(), 30, 0), (100, 190));
    let mut failed = with(failed, "error.type", Value::StringValue("panic".to_owned()));
    failed.attributes.retain(|attribute| attribute.key != "http.response.status_code");
    vec![
        head(SpanKind::Server, "/1", CAME, (TRACE, 10, 1), (100, 190)),
        failed,
        task(11, (TRACE, 11, 10), (111, 150)),
        task(12, (TRACE, 12, 11), (112, 150)),
        task(13, (TRACE, 13, 10), (112, 150)),
        task(55, (TRACE, 14, 11), (112, 300)),
        head(SpanKind::Client, "/next/1", CALLED, (TRACE, 2, 11), (121, 165)),
        head(SpanKind::Client, "/next/2", "b", (trace_b(), 31, 30), (121, 165)),
        head(SpanKind::Client, "/quiet/2", "", (trace_b(), 32, 30), (121, 165)),
    ]
}

fn of_middle() -> Vec<Span> {
    vec![
        head(SpanKind::Server, "/next/1", CALLED, (TRACE, 40, 2), (125, 164)),
        head(SpanKind::Server, "/next/2", "b", (trace_b(), 41, 0), (125, 164)),
        head(SpanKind::Server, "/quiet/2", "", (77, 42, 0), (125, 164)),
    ]
}

fn result(edit: impl FnOnce(&mut Vec<Span>, &mut Vec<Span>), left: Vec<Left>) -> Outcome {
    let (mut of_front, mut of_middle) = (of_front(), of_middle());
    edit(&mut of_front, &mut of_middle);
    let lived = |truth: String, spans| {
        let mut truth = Truth::parse(&truth.lines().collect::<Vec<_>>()).unwrap();
        truth.add_left(left.clone());
        Lived { truth, claims: Claims::default(), spans }
    };
    let services = [(Service::Front, lived(front(), of_front)), (Service::Middle, lived(middle(), of_middle))];
    compare(&services.into())
}

#[track_caller]
fn check(edit: impl FnOnce(&mut Vec<Span>, &mut Vec<Span>), whole: [usize; 2], wrong: &[&str]) {
    let outcome = result(edit, Vec::new());
    assert_eq!([outcome.traced.1, outcome.named.1], whole, "{:#?}", outcome.wrong);
    assert_eq!(outcome.wrong.len(), wrong.len(), "{:#?}", outcome.wrong);
    for part in wrong {
        assert!(outcome.wrong.iter().any(|wrong| wrong.contains(part)), "{part}: {:#?}", outcome.wrong);
    }
}

#[test]
fn right() {
    let outcome = result(|_, _| {}, Vec::new());
    assert_eq!(outcome.wrong, Vec::<String>::new());
    assert_eq!((outcome.traced, outcome.named, outcome.spans), ((1, 1), (1, 1), [4, 2, 3]));
    assert_eq!(outcome.passed_on, 1);
    assert_eq!((outcome.not_judged, outcome.others), (2, 1), "the connection and the quiet call; what it asked for");
}

#[test]
fn a_span_is_missing() {
    check(
        |front, _| drop(front.remove(1)),
        [1, 0],
        &["no span of front", "no call of the request above", "no call that was made"],
    );
    check(|front, _| drop(front.remove(2)), [0, 1], &["is not below", "is not below", "not below it"]);
    check(|front, _| drop(front.remove(6)), [0, 1], &["no span of front", "its parent has no span"]);
    check(|_, middle| drop(middle.remove(0)), [0, 1], &["no span of middle"]);
    check(|front, _| drop(front.remove(4)), [1, 1], &[]);
}

#[test]
fn a_task_is_missing() {
    let outcome = result(|front, _| drop(front.remove(3)), Vec::new());
    assert_eq!((outcome.wrong, outcome.missed.len()), (vec![], 1));
    assert_eq!((outcome.traced, outcome.passed_on), ((1, 0), 0));
}

#[test]
fn a_span_is_in_another_place() {
    check(|front, _| front[3].parent_span_id = vec![0, 0, 0, 0, 0, 0, 0, 10], [0, 1], &["is not below"]);
    check(|_, middle| middle[0].parent_span_id = vec![0, 0, 0, 0, 0, 0, 0, 10], [0, 1], &["in another place"]);
    check(|_, middle| middle[1].parent_span_id = vec![0, 0, 0, 0, 0, 0, 0, 31], [1, 0], &["in another place"]);
    check(|_, middle| middle[1].trace_id[0] ^= 1, [1, 0], &["in another place"]);
    check(|front, _| front[6].span_id[0] = 9, [0, 1], &["another id", "its parent has no span"]);
    check(|front, _| front[7].trace_id[0] ^= 1, [1, 0], &["is not below its request"]);
    check(|front, _| front[8].parent_span_id.clear(), [1, 0], &["no call of the request above"]);
    check(|_, middle| middle[2].parent_span_id = vec![1; 8], [1, 1], &["a parent that nobody named"]);
    check(|_, middle| middle[2].trace_id = TRACE.to_be_bytes().to_vec(), [0, 1], &["came with this ID"]);
}

#[test]
fn a_span_is_there_that_was_not_lived() {
    check(|front, _| front.push(front[6].clone()), [0, 1], &["two spans", "no call that was made"]);
    check(|front, _| front.push(task(14, (TRACE, 60, 10), (112, 150))), [0, 1], &["serves none", "task 13 of front"]);
    check(|front, _| front.push(task(56, (TRACE, 60, 99), (112, 150))), [0, 1], &["not below it"]);
    check(|front, _| front.push(task(14, (88, 60, 0), (112, 150))), [1, 1], &[]);
}

#[test]
fn times_and_ends_are_others() {
    check(|front, _| front[2].start_time_unix_nano = 99, [0, 1], &["not below", "not below", "not below", "not below"]);
    check(|front, _| front[6].start_time_unix_nano = 119, [0, 1], &["no span of front", "no call that was made"]);
    check(|front, _| front[0].attributes[1].value = None, [0, 1], &["ended otherwise"]);
    check(|front, _| front[1].attributes.truncate(2), [1, 0], &["ended otherwise"]);
}

#[test]
fn a_client_that_left_may_have_been_heard() {
    let left = Left { path: "/left".into(), header: "traceparent".into(), id: CAME.into() };
    let mut heard = head(SpanKind::Server, "/left", CAME, (5, 60, 61), (100, 110));
    heard = with(heard, "error.type", Value::StringValue("cancelled".into()));
    assert_eq!(result(|front, _| front.push(heard.clone()), vec![left]).wrong, Vec::<String>::new());
    check(|front, _| front.push(heard), [1, 1], &["a parent that nobody named"]);
}
