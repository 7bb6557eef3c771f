mod log_lines;
mod long_polls;
mod pprof;
mod requests;
mod samples;
mod sentences;

use super::lost::Lost;
use super::names::{self, frame, printable};
use super::stacks::{GraphPart, fold};
use super::units::human;
use super::weight::Weight;
use super::{flamegraph, folded, json, summary};
use asyncscope_model::Graph;
use asyncscope_model::testing::script;
use asyncscope_trace::facts::{Facts, NotSeen};

const FAMILY: &str = "1/0 name main; 1/90 spawn 1; 2/90 poll 1; 2/70 spawn 2; 2/80 end 1; 2/90 poll 2; 2/80 end 2 done";

fn facts(name: &str) -> Facts {
    let mut facts = script::facts(false);
    facts.process.name = "svc".into();
    facts.types[0].name = Some(name.into());
    facts
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn check_stacks(weight: Weight, script: &str, expected: &[(&str, u64)]) {
    let stacks = fold(&script::graph(script), &facts("svc::handle"), weight);
    let stacks: Vec<_> = stacks.iter().map(|(stack, ns)| (stack.as_str(), *ns)).collect();
    assert_eq!(stacks, expected, "{script}");
}

#[test]
fn stacks_by_weight() {
    let (one, two) = ("[thread main];svc::handle", "[thread main];svc::handle;svc::query");
    check_stacks(Weight::Busy, FAMILY, &[(one, 20), (two, 10)]);
    check_stacks(Weight::Wait, FAMILY, &[(one, 40), (two, 20)]);
    check_stacks(Weight::Wall, FAMILY, &[(one, 60), (two, 30)]);
}

#[test]
fn stacks_say_where_they_begin() {
    let poll = "poll 1; 9/70 panic";
    check_stacks(Weight::Busy, &format!("attached; 9/90 {poll}"), &[("[spawned before attach];svc::handle", 20)]);
    check_stacks(Weight::Busy, &format!("9/90 {poll}"), &[("[spawn not seen: no hook passed];svc::handle", 20)]);
    check_stacks(Weight::Busy, &format!("5/0 gap; 9/90 {poll}"), &[("[spawn not seen: events lost];svc::handle", 20)]);
    check_stacks(Weight::Wait, "7/90 spawn 1", &[("[thread 7];svc::handle", 10)]);
}

#[test]
fn stacks_merge_and_leave_out_workers() {
    let pool = "3/0 name pool; 4/0 name pool; 3/90 spawn 1; 4/90 spawn 3; 5/90 poll 900";
    check_stacks(Weight::Wait, pool, &[("[thread pool];svc::handle", 50)]);
    check_stacks(Weight::Busy, pool, &[]);
}

#[test]
fn stacks_are_cut_somewhere() {
    let link = |id: u64| format!("1/90 poll {id}; 1/70 spawn {}; 1/80 end {id}", id + 1);
    let links: Vec<String> = (1..600).map(link).collect();
    let stacks = fold(&script::graph(&links.join(";")), &facts("f"), Weight::Busy);
    let deepest = stacks.iter().map(|(stack, _)| stack.split(';').count()).max();
    assert_eq!(deepest, Some(asyncscope_model::MAX_ANCESTRY + 2));
    assert!(stacks.iter().any(|(stack, ns)| stack.ends_with(";[deeper]") && *ns == 20 * (599 - 512)));
}

#[test]
fn frames_are_single_words_of_a_stack() {
    assert_eq!(frame("a::b<[u8; 4]>"), "a::b<[u8, 4]>");
    assert_eq!(frame("a\nb\x1b[1m"), "a\\u{a}b\\u{1b}[1m");
    assert_eq!(frame("closure 12"), "closure_12");
    assert_eq!(frame("<a as b>"), "<a as b>");
    assert_eq!(frame(" "), "?");
    assert_eq!(printable("a\u{202e}b\u{9b}é"), "a\\u{202e}b\\u{9b}é");
}

#[test]
fn folded_text() {
    let graph = script::graph(FAMILY);
    let folded = text(|out| folded::write(&graph, &facts("[u8; 4]"), Weight::Busy, &GraphPart::All, out));
    assert_eq!(folded, "[thread main];[u8, 4] 20\n[thread main];[u8, 4];svc::query 10\n");
}

fn svg(graph: &Graph, name: &str) -> String {
    text(|out| flamegraph::write(graph, &facts(name), Weight::Busy, &GraphPart::All, out))
}

#[test]
fn flamegraphs_name_the_tasks() {
    let svg = svg(&script::graph(FAMILY), "svc::handle");
    assert!(svg.contains("svc::query (10 ns, 33.33%)"), "{svg}");
    assert!(svg.contains("svc: time inside polls"), "{svg}");
    assert!(svg.contains("80ns watched, 2 polls, 0 events lost"), "{svg}");
}

#[test]
fn flamegraphs_report_in_their_title_what_is_missing() {
    let mut graph = script::graph(&format!("{FAMILY}; 5/0 gap 3"));
    assert!(svg(&graph, "svc::handle").contains("under the tasks that spawned (3 events lost)"));
    graph.lost_samples(2);
    assert!(svg(&graph, "svc::handle").contains("under the tasks that spawned (3 events lost, 2 samples lost)"));
    let full = svg(&script::graph(FAMILY), "svc::handle");
    assert!(full.contains("under the tasks that spawned<"), "{full}");
}

#[test]
fn flamegraphs_are_the_same_every_time() {
    let graph = script::graph(FAMILY);
    assert_eq!(svg(&graph, "svc::handle"), svg(&graph, "svc::handle"));
}

#[test]
fn flamegraphs_draw_a_frame_once() {
    let script = "1/90 spawn 1; 1/90 spawn 2; 1/90 poll 1; 1/70 spawn 4; 1/80 end 1; 1/90 poll 4; 1/80 end 4; 1/90 poll 2; 1/80 end 2";
    let mut facts = facts("f");
    facts.types[1].name = Some("f::g".into());
    let svg = text(|out| flamegraph::write(&script::graph(script), &facts, Weight::Busy, &GraphPart::All, out));
    assert_eq!(svg.matches("<title>f (").count(), 1, "{svg}");
}

#[test]
fn flamegraphs_escape_names() {
    let name = "a</svg><script>alert(1)</script>\x1b[2J";
    let mut hostile = facts(name);
    hostile.process.name = name.into();
    let graph = script::graph(FAMILY);
    let svg = text(|out| flamegraph::write(&graph, &hostile, Weight::Busy, &GraphPart::All, out));
    assert!(svg.contains("a&lt;/svg&gt;&lt;script&gt;"), "{svg}");
    assert!(!svg.contains("<script>alert") && !svg.contains('\x1b'), "{svg}");
}

#[test]
fn flamegraphs_of_nothing_say_so() {
    let empty = svg(&script::graph(""), "f");
    assert!(empty.contains("no polls seen") && empty.ends_with("</svg>\n"), "{empty}");
    let instant = "1/90 shutdown 1; 1/80 end 1 done; 1/90 poll x";
    assert!(svg(&script::graph(instant), "f").contains("svc: time inside polls"));
}

#[test]
fn flamegraphs_survive_any_time() {
    use asyncscope_trace::event::{At, Event, State, TaskId, TaskRef, What};
    let mut graph = Graph::new(&asyncscope_model::Config::default());
    for id in 1..5 {
        let at = At { tid: id, sp: 90, ..At::default() };
        let task = TaskRef { header: 1, id: Some(TaskId(id.into())), vtable: 1 + u64::from(id) % 2 };
        graph.apply(&Event { at, what: What::PollStart { task, state: State(0) } });
    }
    graph.finish(u64::MAX);
    let svg = svg(&graph, "svc::handle");
    assert!(svg.contains("svc::handle") && svg.contains("50.00%"), "{svg}");
}

const JSON: &str = r#"{"kind":"recording","format":1,"process":{"pid":0,"name":"svc","executable":"","build_id":null},"armed":{"monotonic_ns":0,"unix_ns":0},"from_first_instruction":true,"end_ns":110,"tokio":null,"tokio_versions":[],"in_exchange":null,"not_seen":[],"totals":{"tasks":2,"polls":2,"wakes":2,"spawns":2,"gaps":1,"lost":3,"samples_lost":0,"polls_unended":0,"stale_wakes":0,"unmatched_poll_ends":0,"requests":0,"calls":0,"unmatched_responses":0,"ambiguous_streams":0,"contradictions":0,"unfollowed":0,"lines":0,"lines_dropped":0,"print_bytes_missing":0}}
{"kind":"task","task":1,"type":"svc::handle","task_kind":"spawned","runtime":false,"parent":{"root":{"thread":1,"name":"main"}},"born_ns":20,"first_seen_ns":20,"end":null,"polls":1,"polls_unended":0,"wakes":2,"aborts":0,"running_ns":20,"busy_ns":20,"off_cpu_ns":null,"trap_ns":null,"ready_ns":50,"waiting_ns":20,"request":null}
{"kind":"task","task":2,"type":"svc::query","task_kind":"spawned","runtime":false,"parent":{"task":1},"born_ns":40,"first_seen_ns":40,"end":{"time_ns":80,"how":"completed"},"polls":1,"polls_unended":0,"wakes":0,"aborts":0,"running_ns":20,"busy_ns":20,"off_cpu_ns":null,"trap_ns":null,"ready_ns":20,"waiting_ns":0,"request":null}
{"kind":"spawn","task":1,"parent":{"root":{"thread":1,"name":"main"}},"time_ns":20,"thread":1}
{"kind":"poll","task":1,"thread":2,"start_ns":30,"end_ns":50,"outcome":"pending","woken":false,"nested_ns":0,"off_cpu_ns":null,"trap_ns":null,"doubtful":false}
{"kind":"spawn","task":2,"parent":{"task":1},"time_ns":40,"thread":2}
{"kind":"poll","task":2,"thread":2,"start_ns":60,"end_ns":80,"outcome":"ready","woken":false,"nested_ns":0,"off_cpu_ns":null,"trap_ns":null,"doubtful":false}
{"kind":"wake","task":1,"time_ns":70,"thread":2,"did":"made-ready","by":{"task":2}}
{"kind":"wake","task":1,"time_ns":90,"thread":2,"did":"found-ready","by":{"runtime":"io"}}
{"kind":"gap","cpu":0,"since_ns":95,"until_ns":100,"lost":3}
"#;

fn json(script: &str) -> String {
    text(|out| json::write(&script::graph(script), &facts("svc::handle"), &Lost::default(), out))
}

#[test]
fn json_lines() {
    let script = "1/0 name main; 1/90 spawn 1; 2/90 poll 1; 2/70 spawn 2; 2/80 end 1; 2/90 poll 2; 2/70 wake 1; 2/80 end 2 done; 2/90 wake 1 io notified; 5/0 gap 95";
    assert_eq!(json(script), JSON);
}

#[track_caller]
fn check_json(script: &str, expected: &str) {
    let lines = json(script);
    assert!(lines.contains(expected), "{script}: {lines}");
}

#[test]
fn json_values() {
    check_json("5/90 wake 1", r#""by":{"thread":5}}"#);
    check_json("5/90 wake 1 defer", r#""by":{"own":true}}"#);
    check_json("5/90 poll 900; 5/70 wake 1", r#""by":{"runtime":null}}"#);
    check_json("5/90 poll x; 5/70 wake 1", r#""by":{"unknown":"unseen"}}"#);
    check_json("5/90 spawn 1", r#""parent":{"root":{"thread":5,"name":null}}"#);
    check_json("5/0 gap; 5/90 spawn 1", r#""parent":{"unknown":"gap"}"#);
    check_json("attached; 5/90 poll 1", r#""parent":{"unknown":"before-attach"}"#);
    check_json("5/90 poll 1", r#""end_ns":null,"outcome":"unknown""#);
    check_json("5/90 poll x; 5/90 exit", r#"{"kind":"poll","task":null"#);
    check_json("5/90 poll 1; 5/80 end 1 aborted", r#""how":"aborted-while-running"}"#);
}

#[test]
fn json_of_requests() {
    let script = "1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/70 spawn 2; 1/80 write GET /b on h7.3 parent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01; 1/80 write 404 on 5; 1/70 spawn 4";
    check_json(
        script,
        r#"{"kind":"request","request":1,"connection":{"source":"descriptor","key":5,"stream":0},"method":"GET","path":"/a","path_cut":false,"ids":[{"header":"x-request-id","value":"x","cut":false}],"trace":null,"named_by":"request","opened_ns":20,"end":{"time_ns":50,"how":"answered","status":404},"grpc_status":null,"task":1,"running_ns":30,"off_cpu_ns":null,"trap_ns":null,"ready_ns":0,"waiting_ns":0}"#,
    );
    check_json(
        script,
        r#"{"kind":"call","call":1,"connection":{"source":"http2","key":7,"stream":3},"method":"GET","path":"/b","path_cut":false,"ids":[{"header":"traceparent","value":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","cut":false}],"trace":{"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","sampled":true},"opened_ns":40,"end":null,"grpc_status":null,"task":1,"request":1,"evidence":"task"}"#,
    );
    check_json(script, r#""waiting_ns":0,"request":1}"#);
    check_json(script, r#""waiting_ns":0,"request":null}"#);
    let both = "1/90 poll 1; 1/80 read GET /a on 5; 1/80 read GET /b on 6; 1/70 spawn 2; 1/80 closed 5";
    check_json(both, r#""request":null,"candidates":[1,2]}"#);
    check_json(both, r#""end":{"time_ns":50,"how":"cancelled"}"#);
}

#[test]
fn json_of_hostile_names_is_json() {
    let mut hostile = facts("\"}\n\x1b\u{0}{");
    hostile.process.name = "\n".into();
    let lines = text(|out| json::write(&script::graph(FAMILY), &hostile, &Lost::default(), out));
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!(lines.lines().count(), 7);
}

const SUMMARY: &str = "\
svc (pid 0), tokio of unknown version, 90ns watched
2 tasks (2 of them spawned meanwhile), 2 polls, 0 wakes
events lost: ring-full 2
gaps: 1, with 3 events missing; what they put in doubt is shown as unknown

    TASKS     POLLS      BUSY   OFF-CPU     READY   WAITING MEAN POLL  MAX POLL  TASK TYPE
        1         1      20ns         -      10ns      40ns      20ns      20ns  svc::handle
        1         1      10ns         -      20ns       0ns      10ns      10ns  svc::query

WHO SPAWNED WHOM
[thread main]
  svc::handle ×1
    svc::query ×1
";

fn summary(script: &str, name: &str, lost: &Lost) -> String {
    text(|out| summary::write(&script::graph(script), &facts(name), lost, out))
}

#[test]
fn summaries() {
    let by_kind = vec![NotSeen::new("ring-full", 2), NotSeen::new("no-ring", 0)];
    let script = format!("{FAMILY}; 5/0 gap 75");
    assert_eq!(summary(&script, "svc::handle", &Lost { by_kind, encrypted: 0 }), SUMMARY);
    let quiet = summary(FAMILY, "a\x1bb", &Lost::default());
    assert!(quiet.contains("\nno events lost\n") && quiet.contains("a\\u{1b}b"), "{quiet}");
    let workers = summary("5/90 poll 900", "f", &Lost::default());
    assert!(workers.contains("\n0 tasks") && !workers.contains("worker"), "{workers}");
    assert!(workers.contains("no task was seen") && workers.contains("`block_on`"), "{workers}");
    assert!(!workers.contains("TASK TYPE") && !quiet.contains("no task was seen"), "{workers}");
}

#[test]
fn versions_of_tokio() {
    let said = |tokio: Option<&str>, versions: &[&str]| {
        let (tokio, tokio_versions) = (tokio.map(str::to_owned), versions.iter().map(|&one| one.to_owned()).collect());
        names::tokio(&Facts { tokio, tokio_versions, ..Facts::default() })
    };
    assert_eq!(said(Some("1.54.1"), &["1.54.1"]), "1.54.1");
    assert_eq!(said(None, &["1.28.2", "1.54.1"]), "1.28.2 or 1.54.1");
    assert_eq!(said(None, &[]), "of unknown version");
}

/// Off-CPU time inside polls: not known, or a part of each output's times.
#[test]
fn off_cpu_time() {
    const OFF_CPU: &str =
        "1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/50 off-cpu 24; 1/80 write 200 on 5; 1/80 end 1 done";
    let graph = script::graph(OFF_CPU);
    let mut facts = facts("svc::handle");
    facts.correlation_headers = vec!["x-request-id".to_owned()];
    facts.off_cpu = true;
    let folded = |weight| fold(&graph, &facts, weight);
    let off_cpu = ("[spawn not seen: no hook passed];svc::handle;[off-CPU]".to_owned(), 6);
    assert_eq!(folded(Weight::Busy)[1], off_cpu);
    assert_eq!(folded(Weight::Wall)[1], off_cpu);
    assert_eq!(folded(Weight::Busy)[0].1, 34);
    assert!(folded(Weight::Wait).is_empty());
    let json = text(|out| json::write(&graph, &facts, &Lost::default(), out));
    for expected in [
        r#""running_ns":34,"busy_ns":40,"off_cpu_ns":6,"#,
        r#""running_ns":14,"off_cpu_ns":6,"#,
        r#""nested_ns":0,"off_cpu_ns":6,"trap_ns":0,"#,
    ] {
        assert!(json.contains(expected), "no {expected} in {json}");
    }
    let all: Vec<_> = graph.requests().collect();
    let of_requests = GraphPart::Of { requests: all.clone(), label: None }.fold(&graph, &facts, Weight::Busy);
    let of_requests: Vec<_> = of_requests.iter().map(|(stack, ns)| (stack.as_str(), *ns)).collect();
    assert_eq!(of_requests, [("GET /a;svc::handle", 14), ("GET /a;svc::handle;[off-CPU]", 6)]);
    let table = text(|out| super::requests::write(&graph, &facts, &all, out));
    assert!(table.contains("    14ns      6ns    0ns"), "{table}");
    let story = text(|out| super::request::write(&graph, &facts, all[0], out));
    assert!(story.contains("running 14ns, off-CPU 6ns, ready 0ns, waiting 0ns"), "{story}");
}

/// A part of them, which has a name of its own.
#[test]
fn of_polls_in_asyncscope_s_own_trap() {
    const OFF_CPU: &str = "1/90 poll 1; 1/80 read GET /a on 5 id=x; 1/50 off-cpu 24; 1/50 off-cpu 37 trap; \
                           1/80 write 200 on 5; 1/80 end 1 done";
    let graph = script::graph(OFF_CPU);
    let mut facts = facts("svc::handle");
    facts.off_cpu = true;
    let folded = fold(&graph, &facts, Weight::Busy);
    let folded: Vec<_> = folded.iter().map(|(stack, ns)| (stack.rsplit_once(';').unwrap().1, *ns)).collect();
    assert_eq!(folded, [("svc::handle", 41), ("[in asyncscope's own trap]", 3), ("[off-CPU]", 6)]);
    let all: Vec<_> = graph.requests().collect();
    let of_requests = GraphPart::Of { requests: all, label: None }.fold(&graph, &facts, Weight::Busy);
    let of_requests: Vec<_> = of_requests.iter().map(|(stack, ns)| (stack.as_str(), *ns)).collect();
    let expected = [
        ("GET /a;svc::handle", 21),
        ("GET /a;svc::handle;[in asyncscope's own trap]", 3),
        ("GET /a;svc::handle;[off-CPU]", 6),
    ];
    assert_eq!(of_requests, expected);
    let json = text(|out| json::write(&graph, &facts, &Lost::default(), out));
    assert_eq!(json.matches(r#""off_cpu_ns":9,"trap_ns":3,"#).count(), 3, "of the task, the poll, the request: {json}");
}

#[test]
fn summaries_are_bounded() {
    let threads: Vec<String> = (1..=50).map(|tid| format!("{tid}/90 spawn {}", 2 * tid)).collect();
    let shown = summary(&threads.join(";"), "f", &Lost::default());
    assert!(shown.ends_with("… and 60 more lines\n"), "{shown}");
}

#[test]
fn durations() {
    let cases = [(0, "0ns"), (999, "999ns"), (1_500, "1.50µs"), (25_000_000, "25.0ms"), (100_000_000_000, "100s")];
    for (ns, expected) in cases {
        assert_eq!(human(ns), expected);
    }
}

/// Task 1 waits 10 ns before its first poll, 20 ns at a lock and a timer at once, and 10 ns at what is not reported.
const AWAITS: &str = "1/0 name main; 1/90 spawn 1; 1/90 poll 1; 1/0 frames 5 0/0 1/1 2/2 3/3 4/1; 1/80 end 1; \
                      1/0 name main; 1/90 poll 1; 1/90 awaited 1 5; 1/80 end 1";

fn awaiting() -> Facts {
    use asyncscope_trace::facts::{AwaitFrame, AwaitKind};
    let frame = |name: &str, kind, line: Option<u32>| AwaitFrame {
        name: name.into(),
        kind,
        file: line.map(|_| "src/a.rs".into()),
        line,
        until: None,
    };
    let frames = vec![
        frame("svc::handle", AwaitKind::Await, Some(7)),
        frame("svc::store", AwaitKind::Await, Some(9)),
        frame("tokio::sync::mutex::Mutex<T>::lock", AwaitKind::Await, Some(3)),
        frame("Semaphore", AwaitKind::Leaf, None),
        frame("Sleep", AwaitKind::Leaf, None),
    ];
    Facts { frames, ..facts("svc::handle") }
}

#[test]
fn waits_are_divided_by_what_was_awaited() {
    let graph = script::graph(AWAITS);
    let stacks = fold(&graph, &awaiting(), Weight::Wait);
    let task = "[thread main];svc::handle";
    let lock = format!(
        "{task};svc::handle src/a.rs:7;svc::store src/a.rs:9;tokio::sync::mutex::Mutex<T>::lock src/a.rs:3;Mutex"
    );
    let expected =
        [(format!("{task};[await not known]"), 20), (format!("{task};svc::handle src/a.rs:7;Sleep"), 10), (lock, 10)];
    assert_eq!(stacks, expected);
    let busy = fold(&graph, &awaiting(), Weight::Busy);
    let wall: u64 = fold(&graph, &awaiting(), Weight::Wall).iter().map(|(_, ns)| ns).sum();
    assert_eq!(wall, 40 + busy.iter().map(|(_, ns)| ns).sum::<u64>());
}

#[test]
fn flamegraphs_of_waits_colour_what_was_awaited() {
    let graph = script::graph(AWAITS);
    let svg = text(|out| flamegraph::write(&graph, &awaiting(), Weight::Wait, &GraphPart::All, out));
    for colour in ["rgb(120,170,230)", "rgb(190,150,220)", "rgb(190,190,190)"] {
        assert!(svg.contains(colour), "{colour}: {svg}");
    }
    assert!(svg.contains("at what they awaited") && svg.contains("divided equally"), "{svg}");
    assert!(svg.contains("<title>svc::store src/a.rs:9 ("), "{svg}");
}

#[test]
fn json_reports_awaits() {
    let lines = text(|out| json::write(&script::graph(AWAITS), &awaiting(), &Lost::default(), out));
    let expected = r#"{"kind":"await","task":1,"wait_ns":20,"times":1,"partial":false,"chain":[{"depth":0,"name":"svc::handle","is":"await","file":"src/a.rs","line":7,"until_line":null},"#;
    assert!(lines.contains(expected), "{lines}");
    assert!(lines.contains(r#"{"depth":3,"name":"Mutex","is":"leaf","#), "{lines}");
}
