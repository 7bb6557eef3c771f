//! One task that was seen rightly, and every way to see it otherwise.

use super::*;

/// Task 5 spawned the task 6, which is the one that varies. Armed at 100.
const TRUTH: &str = r#"
{"spawn":5,"parent":null,"thread":7,"t0":110,"t1":120,"poll_began":null}
{"end":5,"how":"completed","time_ns":800}
{"task":5,"type":"a","kind":"spawned","polls":1,"polls_before":0}
{"spawn":6,"parent":5,"thread":8,"t0":210,"t1":220,"poll_began":150}
{"end":6,"how":"completed","time_ns":400}
{"task":6,"type":"b","kind":"spawned","polls":2,"polls_before":0}"#;

const SEEN: &str = r#"
{"kind":"recording","armed":{"monotonic_ns":100},"end_ns":1000,"totals":{"tasks":2,"polls":3,"wakes":1,"spawns":2,"gaps":0,"lost":0,"polls_unended":0,"stale_wakes":0}}
{"kind":"task","task":3,"type":"worker","task_kind":"blocking","runtime":true,"parent":{"unknown":"before-attach"},"born_ns":null,"first_seen_ns":900,"end":null,"polls":0,"running_ns":0,"ready_ns":0,"waiting_ns":100}
{"kind":"task","task":5,"type":"a","task_kind":"spawned","runtime":false,"parent":{"root":{"thread":7,"name":"main"}},"born_ns":115,"first_seen_ns":115,"end":{"time_ns":815,"how":"completed"},"polls":1,"running_ns":600,"ready_ns":100,"waiting_ns":0}
{"kind":"task","task":6,"type":"b","task_kind":"spawned","runtime":false,"parent":{"task":5},"born_ns":215,"first_seen_ns":215,"end":{"time_ns":415,"how":"completed"},"polls":2,"running_ns":100,"ready_ns":50,"waiting_ns":50}
{"kind":"spawn","task":5,"parent":{"root":{"thread":7,"name":"main"}},"time_ns":115,"thread":7}
{"kind":"spawn","task":6,"parent":{"task":5},"time_ns":215,"thread":8}
{"kind":"poll","task":5,"thread":8,"start_ns":215,"end_ns":815,"outcome":"ready"}
{"kind":"poll","task":6,"thread":9,"start_ns":300,"end_ns":320,"outcome":"pending"}
{"kind":"poll","task":6,"thread":9,"start_ns":335,"end_ns":415,"outcome":"ready"}
{"kind":"wake","task":6,"did":"made-ready","by":{"task":5}}"#;

const STRICT: Rules = Rules {
    losses: false,
    threads: true,
    unknown_parents: false,
    unknown_completions: false,
    unnamed: false,
    unseen_panics: false,
};
const LOSSES: Rules = Rules {
    losses: true,
    threads: true,
    unknown_parents: false,
    unknown_completions: false,
    unnamed: false,
    unseen_panics: false,
};

/// What differs when, in the truth and in what was seen, these texts are replaced.
fn result(truth: &[(&str, &str)], seen: &[(&str, &str)], rules: Rules) -> Comparison {
    let edit = |text: &str, edits: &[(&str, &str)]| {
        edits.iter().fold(text.trim().to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "no {from}");
            text.replace(from, to).trim().replace("\n\n", "\n")
        })
    };
    let truth = Truth::parse(&edit(TRUTH, truth).lines().collect::<Vec<_>>()).unwrap();
    compare(&truth, &Seen::parse(edit(SEEN, seen).as_bytes()).unwrap(), rules)
}

fn check(truth: &[(&str, &str)], seen: &[(&str, &str)], mistakes: &[&str]) {
    check_by(STRICT, truth, seen, mistakes);
}

fn check_by(rules: Rules, truth: &[(&str, &str)], seen: &[(&str, &str)], mistakes: &[&str]) {
    let result = result(truth, seen, rules).mistakes;
    assert_eq!(result.len(), mistakes.len(), "{result:#?}");
    for (mistake, part) in result.iter().zip(mistakes) {
        assert!(mistake.contains(part), "{mistake} has no {part}");
    }
}

/// The line of [`TRUTH`] or [`SEEN`] that starts so.
fn line<'a>(of: &'a str, start: &str) -> &'a str {
    of.lines().find(|line| line.starts_with(start)).unwrap()
}

#[test]
fn right() {
    check(&[], &[], &[]);
    assert_eq!(result(&[], &[], STRICT).parents_known, 2);
}

#[test]
fn sets() {
    let task = line(SEEN, r#"{"kind":"task","task":6"#);
    check(&[], &[(task, "")], &["task 6 (b) is missing", "two parents"]);
    let renamed = [(r#""task":6,"type""#, r#""task":9,"type""#)];
    check(&[], &renamed, &["task 6 (b) is missing", "task 9 (b) is invented", "two parents"]);
    check(
        &[],
        &[(
            "\"type\":\"b\",\"task_kind\":\"spawned\",\"runtime\":false",
            "\"type\":\"b\",\"task_kind\":\"spawned\",\"runtime\":true",
        )],
        &["taken for the runtime's"],
    );
}

#[test]
fn kinds_and_names() {
    check(&[], &[("\"b\",\"task_kind\":\"spawned\"", "\"b\",\"task_kind\":\"local\"")], &["is local, not spawned"]);
    check(&[("\"polls\":2", "\"polls\":null")], &[("\"type\":\"b\"", "\"type\":\"c\"")], &["called c, not b"]);
}

#[test]
fn parents() {
    check(&[("\"parent\":5", "\"parent\":null")], &[], &["has the parent Task(5)"]);
    check(&[("\"parent\":null", "\"parent\":6")], &[], &["has the parent Root"]);
    check(
        &[("\"thread\":7", "\"thread\":6")],
        &[("\"time_ns\":115,\"thread\":7", "\"time_ns\":115,\"thread\":6")],
        &["has the parent Root"],
    );
    let unknown = |why| [("\"parent\":{\"task\":5}", why)];
    check(&[], &unknown(r#""parent":{"unknown":"before-attach"}"#), &["has the parent Unknown"]);
    check(&[], &unknown(r#""parent":{"unknown":"unseen"}"#), &["has the parent Unknown"]);
    check(&[("\"poll_began\":150", "\"poll_began\":90")], &unknown(r#""parent":{"unknown":"before-attach"}"#), &[]);
}

#[test]
fn alive_before_attach() {
    let before = [("\"t0\":210,\"t1\":220", "\"t0\":60,\"t1\":70")];
    let spawn = line(SEEN, r#"{"kind":"spawn","task":6"#);
    let unknown = [
        (spawn, ""),
        ("\"parent\":{\"task\":5},\"born_ns\":215", "\"parent\":{\"unknown\":\"before-attach\"},\"born_ns\":null"),
    ];
    check(&before, &unknown, &[]);
    check(&before, &[], &["has the parent Task", "is born at", "is spawned at"]);
    check(&[], &unknown, &["has the parent Unknown", "is born at", "the spawn of task 6 is missing"]);
}

#[test]
fn spawns() {
    let spawn = line(SEEN, r#"{"kind":"spawn","task":6"#);
    check(&[], &[(spawn, "")], &["the spawn of task 6 is missing"]);
    check(&[], &[(spawn, &format!("{spawn}\n{spawn}"))], &["spawned twice"]);
    check(&[], &[("\"time_ns\":215", "\"time_ns\":225")], &["spawned at 225"]);
    check(&[], &[("\"time_ns\":215,\"thread\":8", "\"time_ns\":215,\"thread\":9")], &["spawned on 9"]);
}

#[test]
fn polls() {
    let poll = "{\"kind\":\"poll\",\"task\":6,\"thread\":9,\"start_ns\":300,\"end_ns\":320,\"outcome\":\"pending\"}\n";
    check(&[], &[(poll, "")], &["2 polls, but 1 lines"]);
    check(&[("\"polls\":2", "\"polls\":3")], &[], &["2 polls, not 3"]);
    check(&[("\"polls\":2", "\"polls\":1")], &[], &["2 polls, not 1"]);
}

#[test]
fn a_poll_that_may_have_been_a_cancellation() {
    let abort = |thread: u32, t0: u64| format!("\n{{\"abort\":6,\"thread\":{thread},\"t0\":{t0},\"t1\":{}}}", t0 + 10);
    let lived = "\"polls\":2,\"polls_before\":0}";
    let cancelled = ("{\"end\":6,\"how\":\"completed\"", "{\"end\":6,\"how\":\"cancelled\"");
    let racing = |rest: &str| {
        let task = format!("\"polls\":1,\"polls_before\":0}}{rest}");
        result(
            &[(lived, &task), cancelled],
            &[("\"time_ns\":415,\"how\":\"completed\"", "\"time_ns\":415,\"how\":\"aborted-while-running\"")],
            STRICT,
        )
    };
    assert!(racing(&abort(4, 340)).mistakes.is_empty(), "{}", racing(&abort(4, 340)));
    assert_eq!(racing(&abort(4, 340)).racing_polls, 1);
    assert_eq!(racing(&abort(9, 340)).mistakes.len(), 1, "the poll's own thread cannot race it");
    assert_eq!(racing(&abort(4, 200)).mistakes.len(), 1, "the abort was over before the poll before");
    assert!(racing(&abort(4, 322)).mistakes.is_empty(), "{}", racing(&abort(4, 322)));
    assert_eq!(racing(&abort(4, 322)).late_polls, 1);
    assert_eq!(racing(&abort(9, 322)).mistakes.len(), 1, "the poll's own thread cannot race it, however late");
    assert!(racing("\n{\"shutdown\":{\"t0\":330,\"t1\":600}}").mistakes.is_empty());
}

#[test]
fn too_many_late_polls_are_no_chance() {
    let check = |late_polls, mistakes| {
        let truth = Truth::parse(&TRUTH.trim().lines().collect::<Vec<_>>()).unwrap();
        let seen = Seen::parse(SEEN.trim().as_bytes()).unwrap();
        let result = Comparison { tasks: 150, late_polls, ..Comparison::default() };
        let mut sides = Sides { truth: &truth, seen: &seen, rules: STRICT, gaps: false, result };
        sides.totals();
        assert_eq!(sides.result.mistakes.len(), mistakes, "{:?}", sides.result.mistakes);
    };
    check(3, 0);
    check(4, 1);
}

#[test]
fn ends() {
    let end = "\"time_ns\":415,\"how\":\"completed\"";
    check(&[], &[(end, "\"time_ns\":415,\"how\":\"cancelled\"")], &["is cancelled, not completed"]);
    check(&[], &[(end, "\"time_ns\":415,\"how\":\"panicked\"")], &["is panicked, not completed"]);
    check(&[], &[(end, "\"time_ns\":415,\"how\":\"aborted-while-running\"")], &["not completed"]);
    check(&[("\"time_ns\":400", "\"time_ns\":420")], &[], &["ends at 415"]);
    check(&[], &[(&format!("{{{end}}}"), "null")], &["has no end", "lives Some(785)"]);
}

#[test]
fn an_end_that_may_have_been_a_panic() {
    let lived = "\"polls\":2,\"polls_before\":0}";
    let caught = |poll: u64| format!("{lived}\n{{\"caught\":6,\"poll\":{poll}}}");
    let panicked = [("\"time_ns\":415,\"how\":\"completed\"", "\"time_ns\":415,\"how\":\"panicked\"")];
    check(&[(lived, &caught(2))], &panicked, &[]);
    check(&[(lived, &caught(1))], &panicked, &["is panicked"]);
}

#[test]
fn states() {
    check(&[], &[("\"ready_ns\":50", "\"ready_ns\":51")], &["lives Some(200) ns, its states 201"]);
    check(&[], &[("\"waiting_ns\":100", "\"waiting_ns\":99")], &["task 3 lives Some(100)"]);
}

#[test]
fn wakes() {
    let wake = "\"made-ready\",\"by\":{\"task\":5}";
    check(&[], &[(wake, "\"made-ready\",\"by\":{\"runtime\":\"io\"}")], &[]);
    check(&[], &[(wake, "\"made-ready\",\"by\":{\"runtime\":null}")], &[]);
    check(&[], &[(wake, "\"made-ready\",\"by\":{\"own\":true}")], &[]);
    check(&[], &[(wake, "\"made-ready\",\"by\":{\"task\":3}")], &["not the program's"]);
}

#[test]
fn losses() {
    let gap = ("\"gaps\":0,\"lost\":0", "\"gaps\":1,\"lost\":4");
    let shown = (
        "{\"kind\":\"wake\"",
        "{\"kind\":\"gap\",\"cpu\":0,\"since_ns\":1,\"until_ns\":2,\"lost\":4}\n{\"kind\":\"wake\"",
    );
    check(&[], &[gap, shown], &["4 events lost in 1 gaps"]);
    check_by(LOSSES, &[], &[gap, shown], &[]);
    check_by(LOSSES, &[], &[gap], &["0 lines of gaps", "0 in gaps"]);
    check_by(LOSSES, &[("\"polls\":2", "\"polls\":3")], &[gap, shown], &[]);
    check_by(LOSSES, &[("\"polls\":2", "\"polls\":1")], &[gap, shown], &["2 polls, not 1"]);
    check_by(LOSSES, &[("\"parent\":5", "\"parent\":null")], &[gap, shown], &["has the parent Task"]);
    check_by(LOSSES, &[("\"polls\":2", "\"polls\":3")], &[], &["2 polls, not 3"]);
    check(&[], &[("\"polls_unended\":0", "\"polls_unended\":1")], &["1 polls unended"]);
}
