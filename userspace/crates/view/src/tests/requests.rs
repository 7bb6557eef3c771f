use super::{facts, text};
use crate::flamegraph::{write, write_diff};
use crate::lost::Lost;
use crate::select::{Selection, Unclear};
use crate::stacks::GraphPart;
use crate::weight::Weight;
use crate::{folded, request, requests, summary};
use asyncscope_model::testing::script;
use asyncscope_model::{Config, Detail, Graph};
use asyncscope_trace::facts::ClockPair;

/// `/a/1` is served by task 1, which has task 2 do something, and calls; `/a/2` and `/b` follow on the
/// connection.
const THREE: &str = "1/90 poll 1; 1/80 read GET /a/1 on 5 id=abc-1; 1/70 spawn 2; 1/80 end 1; 2/90 poll 2; 2/80 write GET /x on 7 id=abc-1; 2/80 read 200 on 7; 2/70 wake 1; 2/80 end 2 done; 1/90 poll 1; 1/80 write 200 on 5; 1/80 read GET /a/2 on 5 id=abc-2; 1/80 write 500 on 5; 1/80 read POST /b on 5; 1/80 write 201 on 5 id=own";

fn select(id: Option<&str>, route: Option<&str>, slower_than_ns: Option<u64>) -> Selection {
    Selection { id: id.map(str::to_owned), route: route.map(str::to_owned), slower_than_ns }
}

fn chosen(selection: &Selection) -> Result<Vec<String>, Unclear> {
    let graph = script::graph(THREE);
    let paths = |request: &&asyncscope_model::Request| String::from_utf8_lossy(&request.line.path).into_owned();
    Ok(selection.requests(&graph)?.iter().map(paths).collect())
}

#[test]
fn selections() {
    let check = |selection, expected: &[&str]| assert_eq!(chosen(&selection).unwrap(), expected);
    check(select(None, None, None), &["/a/1", "/a/2", "/b"]);
    check(select(Some("abc-2"), None, None), &["/a/2"]);
    check(select(Some("ow"), None, None), &["/b"]);
    check(select(Some("#2"), None, None), &["/a/2"]);
    check(select(None, Some("/a/2"), None), &["/a/2"]);
    check(select(None, Some("/a/*"), None), &["/a/1", "/a/2"]);
    check(select(None, Some("/a/*"), Some(20)), &["/a/1"]);
    check(select(Some("abc"), Some("/a/1"), None), &["/a/1"]);
    let none = chosen(&select(None, Some("/a"), None)).unwrap_err();
    assert_eq!(none.to_string(), "no request of /a was seen; `--requests` lists those that were");
    let several = chosen(&select(Some("abc"), None, None)).unwrap_err();
    assert_eq!(several.to_string(), "several IDs begin with abc: abc-1, abc-2");
}

#[test]
fn a_trace_is_asked_for_by_its_trace_id() {
    let graph = script::graph("1/80 read GET /a on 5 parent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let found = |id| select(Some(id), None, None).requests(&graph).map(|found| found.len());
    assert_eq!(found("0af7651916cd43dd8448eb211c80319c"), Ok(1));
    assert_eq!(found("0af7"), Ok(1));
    assert!(found("1af7").is_err());
    let table = text(|out| requests::write(&graph, &facts("f"), &graph.requests().collect::<Vec<_>>(), out));
    assert!(table.contains("  0af7651916cd43dd8448eb211c80319c\n"), "{table}");
}

const TABLE: &str = "\
TIME (UTC)    STATUS  DURATION  RUNNING  OFF-CPU  READY  WAITING  TASKS  CALLS  METHOD  PATH  ID
00:00:01.500     200      90ns     30ns        -   20ns     40ns      1      1  GET     /a/1  abc-1
00:00:01.500     500      10ns     10ns        -    0ns      0ns      0      0  GET     /a/2  abc-2
00:00:01.500     201      10ns     10ns        -    0ns      0ns      0      0  POST    /b    own
";

#[test]
fn tables() {
    let graph = script::graph(THREE);
    let mut facts = facts("svc::handle");
    facts.armed = ClockPair { monotonic_ns: 0, unix_ns: 1_500_000_000 };
    let all: Vec<_> = graph.requests().collect();
    assert_eq!(text(|out| requests::write(&graph, &facts, &all, out)), TABLE);
    assert_eq!(text(|out| requests::write(&graph, &facts, &[], out)), "no requests seen\n");
    facts.correlation_headers.clear();
    assert_eq!(text(|out| requests::write(&graph, &facts, &[], out)), "no requests: HTTP was not watched\n");
}

const STORY: &str = "\
GET /a/1: 200 after 90ns
  00:00:00.000 UTC, #1, ID abc-1
  x-request-id: abc-1
  running 30ns, ready 20ns, waiting 40ns
       +0ns  served by task 1 svc::handle
      +10ns    task 2 svc::query: 1 polls, busy 40ns, ready 20ns, waiting 0ns
      +40ns    call GET /x (by its ID)
      +50ns    call GET /x: 200 after 10ns
      +60ns  task 1 woken by task 2 svc::query
      +70ns    task 2 completed
      +90ns  request 200
";

#[test]
fn stories() {
    let graph = script::graph(THREE);
    let first = graph.requests().next().unwrap();
    assert_eq!(text(|out| request::write(&graph, &facts("svc::handle"), first, out)), STORY);
    let last = graph.requests().last().unwrap();
    let story = text(|out| request::write(&graph, &facts("svc::handle"), last, out));
    assert!(story.contains("x-request-id: own (made here: only the response bears it)"), "{story}");
}

#[test]
fn hostile_heads_are_escaped() {
    let graph = script::graph(
        "1/80 read G\u{1b}[2J /\u{202e}\u{7}a on 5 id=\u{9b}31m; 1/80 write GET /\u{1b}x on 7 id=\u{9b}31m",
    );
    let all: Vec<_> = graph.requests().collect();
    let table = text(|out| requests::write(&graph, &facts("f"), &all, out));
    let story = text(|out| request::write(&graph, &facts("f"), all[0], out));
    let folded = text(|out| summary::write(&graph, &facts("f"), &Lost::default(), out));
    for shown in [table, story, folded] {
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{7}', '\u{9b}']), "{shown}");
    }
}

fn stacks(selection: &Selection, label: Option<&str>) -> Vec<(String, u64)> {
    let graph = script::graph(THREE);
    let part = GraphPart::Of { requests: selection.requests(&graph).unwrap(), label: label.map(str::to_owned) };
    part.fold(&graph, &facts("svc::handle"), Weight::Busy)
}

#[test]
fn stacks_of_requests() {
    let one = |stack: &str, ns| (stack.to_owned(), ns);
    let first = [one("GET /a/1;svc::handle", 30), one("GET /a/1;svc::handle;svc::query", 40)];
    assert_eq!(stacks(&select(Some("abc-1"), None, None), None), first);
    let route = [one("/a/*;svc::handle", 40), one("/a/*;svc::handle;svc::query", 40)];
    assert_eq!(stacks(&select(None, Some("/a/*"), None), Some("/a/*")), route);
}

#[test]
fn flamegraphs_of_requests() {
    let graph = script::graph(THREE);
    let facts = facts("svc::handle");
    let selection = select(None, Some("/a/*"), None);
    let part = GraphPart::Of { requests: selection.requests(&graph).unwrap(), label: Some("/a/*".into()) };
    let svg = text(|out| write(&graph, &facts, Weight::Busy, &part, out));
    assert!(svg.contains("svc: time inside polls, 2 requests") && svg.contains("/a/*"), "{svg}");
    assert!(svg.contains("svc::query (40 ns, 50.00%)"), "{svg}");
}

#[test]
fn slow_requests_against_fast_ones() {
    let graph = script::graph(THREE);
    let facts = facts("svc::handle");
    let selection = select(None, Some("/a/*"), Some(50));
    let diff = selection.diff(&graph).unwrap();
    let svg = text(|out| write_diff(&graph, &facts, Weight::Busy, &diff, out));
    assert!(svg.contains("1 request of at least 50ns against 1 faster"), "{svg}");
    // 70 ns in the slow one, of which 40 are of a task that the fast one has not.
    assert!(svg.contains("svc::query (40 ns, 57.14%; +57.14%)"), "{svg}");
    let again = text(|out| write_diff(&graph, &facts, Weight::Busy, &diff, out));
    assert_eq!(svg, again);
    assert!(select(None, Some("/b"), Some(5)).diff(&graph).is_err());
}

#[test]
fn summaries_count_requests() {
    let shown = text(|out| summary::write(&script::graph(THREE), &facts("f"), &Lost::default(), out));
    assert!(shown.contains("3 requests, 1 outgoing calls\n") && shown.contains("abc-1"), "{shown}");
}

/// Graphs of the same events, from the second of which the tasks of the first few have left.
fn with_and_without_those_who_left(script: &str) -> [Graph; 2] {
    [false, true].map(|evicts| {
        let config = Config::from(&facts("svc::handle")).with_detail(Detail::Intervals).with_eviction(evicts);
        let mut graph = Graph::new(&config);
        let lives = "3/90 spawn 21; 3/90 poll 21; 3/80 end 21 done; 3/90 spawn 22; 3/90 poll 22; 3/80 end 22 done";
        script::events(lives).iter().for_each(|event| graph.apply(event));
        let over = graph.take_ended(u64::MAX);
        assert_eq!(over.len(), if evicts { 2 } else { 0 });
        graph.evict(&over);
        for mut event in script::events(script) {
            event.at.time += 1000;
            graph.apply(&event);
        }
        graph.finish(2000);
        graph
    })
}

#[test]
fn a_request_is_reported_of_after_earlier_tasks_have_left() {
    let stories = with_and_without_those_who_left(THREE).map(|graph| {
        let first = graph.requests().next().unwrap();
        text(|out| request::write(&graph, &facts("svc::handle"), first, out))
    });
    assert!(stories[0].contains("task 2 svc::query: 1 polls"), "{}", stories[0]);
    assert_eq!(stories[0], stories[1]);
}

#[test]
fn trees_are_drawn_after_earlier_tasks_have_left() {
    let [all, some] = with_and_without_those_who_left(super::FAMILY).map(|graph| {
        text(|out| folded::write(&graph, &facts("svc::handle"), Weight::Busy, &GraphPart::default(), out))
    });
    let family = all.lines().filter(|line| !line.starts_with("[thread 3]")).collect::<Vec<_>>();
    assert!(!family.is_empty());
    assert_eq!(some.lines().collect::<Vec<_>>(), family);
}
