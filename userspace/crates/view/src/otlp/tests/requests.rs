//! Spans of requests and calls.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use super::*;

const PARENT: &str = "parent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PASSED: &str = "parent=00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn of_requests(script: &str) -> Vec<Span> {
    all(&mut script::with_span_detail(script, Some(NOTED)), &script::facts(false), &SpanOptions::default())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `Server GET /a <- remote`: kinds, names and parents, sorted.
fn tree(spans: &[Span]) -> Vec<String> {
    let parent = |span: &Span| match spans.iter().find(|parent| parent.span_id == span.parent_span_id) {
        Some(parent) => format!(" <- {}", parent.name),
        None if span.parent_span_id.is_empty() => String::new(),
        None => format!(" <- {}", hex(&span.parent_span_id)),
    };
    let kind = |span: &Span| SpanKind::try_from(span.kind).unwrap();
    let mut shown: Vec<_> =
        spans.iter().map(|span| format!("{:?} {}{}", kind(span), span.name, parent(span))).collect();
    shown.sort();
    shown
}

#[track_caller]
fn check(script: &str, expected: &[&str]) -> Vec<Span> {
    let spans = of_requests(script);
    keeps_the_rules(&spans);
    assert_eq!(tree(&spans), expected, "{script}");
    spans
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap()
}

#[test]
fn a_request_has_its_tasks_and_calls_below() {
    let spans = check(
        "1/90 spawn 20; 1/90 poll 7; 1/80 read GET /a on 5 id=q; 1/70 spawn 8; 1/80 end 7; 2/90 poll 8; 2/70 spawn 10; \
         2/80 end 8 done; 2/90 poll 10; 2/80 end 10 done; 2/90 poll 20; 2/80 write POST /b on 9 id=q; 2/80 end 20; \
         1/90 poll 7; 1/80 write 200 on 5; 1/80 end 7",
        &[
            "Client POST /b <- GET /a",
            "Internal svc::query <- GET /a",
            "Internal svc::query <- svc::query",
            "Server GET /a",
        ],
    );
    let server = one(&spans, "GET /a");
    assert_eq!(attribute(&server.attributes, "http.response.status_code").unwrap(), "200");
    assert_eq!(attribute(&server.attributes, "url.path").unwrap(), "/a");
    assert_eq!((server.start_time_unix_nano, server.end_time_unix_nano), (30, 150));
    assert_eq!(spans.iter().filter(|span| span.trace_id == server.trace_id).count(), 4);
}

#[test]
fn a_traceparent_gives_trace_and_remote_parent() {
    let spans = check(
        &format!(
            "1/90 poll 7; 1/80 read GET /a on 5 {PARENT}; 1/80 write GET /c on 9 {PASSED}; 1/80 read 503 on 9; 1/80 write 500 on 5"
        ),
        &["Client GET /c <- GET /a", "Server GET /a <- b7ad6b7169203331"],
    );
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let (server, client) = (one(&spans, "GET /a"), one(&spans, "GET /c"));
    assert_ne!(server.flags & SpanFlags::ContextIsRemoteMask as u32, 0);
    // The next service hangs its spans under the id that it was given.
    assert_eq!(hex(&client.span_id), "00f067aa0ba902b7");
    for span in [server, client] {
        assert_eq!(span.status.as_ref().unwrap().code, StatusCode::Error as i32);
    }
    assert_eq!(attribute(&client.attributes, "error.type").unwrap(), "503");
}

#[test]
fn a_traceparent_that_is_only_passed_on_names_another_span() {
    let came = "b7ad6b7169203331";
    let spans = check(
        &format!("1/90 poll 7; 1/80 read GET /a on 5 {PARENT}; 1/80 write GET /c on 9 {PARENT}; 1/80 write 200 on 5"),
        &["Client GET /c <- GET /a", "Server GET /a <- b7ad6b7169203331"],
    );
    assert_ne!(hex(&one(&spans, "GET /c").span_id), came);
    let twice = format!(
        "1/90 poll 7; 1/80 read GET /a on 5 {PARENT}; 1/80 write GET /c on 9 {PASSED}; 1/80 write GET /d on 8 {PASSED}"
    );
    let spans =
        check(&twice, &["Client GET /c <- GET /a", "Client GET /d <- GET /a", "Server GET /a <- b7ad6b7169203331"]);
    assert!(spans.iter().all(|span| hex(&span.span_id) != "00f067aa0ba902b7"));
}

#[test]
fn what_is_not_to_be_recorded_is_not() {
    let unsampled = PARENT.replace("-01", "-00");
    let script = format!(
        "1/90 poll 7; 1/80 read GET /a on 5 {unsampled}; 1/70 spawn 8; 1/80 write GET /c on 9 {PASSED}; 1/80 write 200 on 5"
    );
    check(&script, &[]);
}

#[test]
fn a_correlation_id_is_the_same_trace_for_two_agents() {
    let script = "1/90 poll 7; 1/80 read GET /a on 5 id=x; 1/80 write 200 on 5";
    let other = Facts { run: "another host".into(), ..script::facts(false) };
    let there = all(&mut script::with_span_detail(script, Some(NOTED)), &other, &SpanOptions::default());
    let here = of_requests(script);
    assert_eq!(here[0].trace_id, there[0].trace_id);
    assert_ne!(here[0].span_id, there[0].span_id);
    assert!(here[0].parent_span_id.is_empty());
    assert_eq!(attribute(&here[0].attributes, "asyncscope.correlation.id").unwrap(), "x");
    assert_eq!(attribute(&here[0].attributes, "asyncscope.correlation.header").unwrap(), "x-request-id");
    assert_ne!(of_requests(&script.replace("id=x", "id=y"))[0].trace_id, here[0].trace_id);
    assert_ne!(of_requests(&script.replace(" id=x", ""))[0].trace_id, here[0].trace_id);
}

#[test]
fn tasks_without_a_request_are_emitted_if_asked_for() {
    let script = "1/90 poll 7; 1/80 read GET /a on 5; 1/80 write 200 on 5; 1/80 end 7; 1/90 spawn 8";
    check(script, &["Server GET /a"]);
    assert_eq!(tree(&of(script)), ["Internal svc::handle", "Internal svc::query", "Server GET /a"]);
}

#[test]
fn a_request_that_failed_says_how() {
    let spans = check("1/90 poll 7; 1/80 read GET /a on 5; 1/80 closed 5; 1/80 end 7 done", &["Server GET /a"]);
    assert_eq!(attribute(&spans[0].attributes, "error.type").unwrap(), "cancelled");
    let spans = check("1/90 poll 7; 1/80 read GET /a on 5; 1/80 panic; 1/80 end 7 done", &["Server GET /a"]);
    assert_eq!(attribute(&spans[0].attributes, "error.type").unwrap(), "panic");
    let spans = check("1/90 poll 7; 1/80 read GET /a on 5", &["Server GET /a"]);
    assert_eq!(attribute(&spans[0].attributes, "asyncscope.open").unwrap(), "true");
}

#[test]
fn what_may_be_of_several_is_linked_to_each() {
    let spans = of_requests(
        "1/90 poll 7; 1/80 read GET /a on 5; 1/80 read GET /b on 6; 1/70 spawn 8; 1/80 end 7; 1/90 poll 8; 1/80 end 8 done; \
         1/90 poll 7; 1/80 write 200 on 5; 1/80 write 200 on 6",
    );
    keeps_the_rules(&spans);
    let links: Vec<_> = one(&spans, "svc::query").links.iter().map(|link| link.span_id.clone()).collect();
    assert_eq!(links, [one(&spans, "GET /a").span_id.clone(), one(&spans, "GET /b").span_id.clone()]);
}

#[test]
fn a_stream_of_requests_emits_the_same_as_a_whole_run() {
    let request = |n: u64| {
        let (task, child, grandchild) = (101, 200 + 2 * n, 401 + 2 * n);
        format!(
            "1/90 poll {task}; 1/80 read GET /{n} on 5 id=i{n}; 1/70 spawn {child}; 1/80 end {task}; \
             2/90 poll {child}; 2/70 spawn {grandchild}; 2/80 end {child} done; 2/90 poll 20; \
             2/80 write GET /{n}x on 9 id=i{n}; 2/80 end 20; 1/90 poll {task}; 1/80 write 200 on 5; \
             1/80 end {task}; 2/90 poll {grandchild}; 2/80 end {grandchild} done"
        )
    };
    let script = format!("1/90 spawn 20; {}", (0..20).map(request).collect::<Vec<_>>().join("; "));
    let facts = script::facts(false);
    let sorted = |mut spans: Vec<Span>| {
        spans.sort_by(|a, b| a.span_id.cmp(&b.span_id));
        spans
    };
    let whole = sorted(of_requests(&script));
    assert!(whole.iter().filter(|span| span.kind == SpanKind::Internal as i32).count() == 40, "{:?}", tree(&whole));
    for every in [1, 2, 3, 5, 7, 11, 13, 40] {
        let emitted = sorted(streamed(&script::events(&script), &facts, &SpanOptions::default(), every));
        assert_eq!(tree(&emitted), tree(&whole), "{every}");
        assert!(emitted.iter().zip(&whole).all(|(emitted, whole)| emitted.trace_id == whole.trace_id), "{every}");
    }
}
