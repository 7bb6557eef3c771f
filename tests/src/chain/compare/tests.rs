//! One request that was seen rightly, and every way to see it otherwise.

use super::*;
use crate::chain::truth::Left;

const TRUTH: &str = r#"
{"kind":"task","task":11,"request":1,"role":"spawned"}
{"kind":"task","task":12,"request":1,"role":"by-actor"}
{"kind":"task","task":13,"request":null,"role":"background"}
{"kind":"task","task":14,"request":null,"role":"actor"}
{"kind":"task","task":15,"request":null,"role":"library"}
{"kind":"segment","task":14,"request":1,"begin_ns":130,"end_ns":140,"replied":true}
{"kind":"segment","task":14,"request":2,"begin_ns":150,"end_ns":160,"replied":false}
{"kind":"call","request":1,"header":"x-request-id","id":"a","method":"GET","path":"/next","begin_ns":120,"end_ns":170,"how":"answered","status":503,"grpc":null}
{"kind":"call","request":2,"header":null,"id":null,"method":"POST","path":"/quiet","begin_ns":120,"end_ns":170,"how":"failed","status":null,"grpc":null}
{"kind":"request","request":1,"header":"x-request-id","id":"a","made":null,"method":"GET","path":"/1","task":21,"begin_ns":110,"end_ns":180,"how":"answered","status":200,"grpc":null}
{"kind":"request","request":2,"header":null,"id":null,"made":null,"method":"POST","path":"/s","task":22,"begin_ns":110,"end_ns":180,"how":"answered","status":200,"grpc":5}
{"kind":"request","request":3,"header":null,"id":null,"made":null,"method":"POST","path":"/s","task":23,"begin_ns":111,"end_ns":180,"how":"cancelled","status":null,"grpc":null}
{"kind":"request","request":4,"header":null,"id":null,"made":"own","method":"GET","path":"/4","task":21,"begin_ns":210,"end_ns":280,"how":"answered","status":200,"grpc":null}"#;

/// The requests' numbers are others than the truth's, and the two that look alike come in another order.
const CLAIMS: &str = r#"
{"kind":"recording","armed":{"monotonic_ns":50},"end_ns":1000,"totals":{"tasks":2,"polls":3,"spawns":2,"gaps":0,"lost":0,"polls_unended":0}}
{"kind":"task","task":11,"type":"eleven","request":7}
{"kind":"task","task":12,"type":"twelve","request":7}
{"kind":"task","task":13,"type":"thirteen","request":null}
{"kind":"task","task":14,"type":"fourteen","request":null}
{"kind":"task","task":15,"type":"fifteen","request":7}
{"kind":"task","task":21,"type":"connection","request":null}
{"kind":"task","task":22,"type":"stream","request":9}
{"kind":"task","task":23,"type":"stream","request":8}
{"kind":"request","request":7,"task":21,"ids":[{"header":"x-request-id","value":"a"}],"method":"GET","path":"/1","opened_ns":100,"end":{"time_ns":190,"how":"answered","status":200},"grpc_status":null}
{"kind":"request","request":8,"task":20,"ids":[],"method":"POST","path":"/s","opened_ns":101,"end":{"time_ns":190,"how":"cancelled","status":null},"grpc_status":null}
{"kind":"request","request":9,"task":20,"ids":[],"method":"POST","path":"/s","opened_ns":102,"end":{"time_ns":190,"how":"answered","status":200},"grpc_status":5}
{"kind":"request","request":10,"task":21,"ids":[{"header":"x-request-id","value":"own"}],"method":"GET","path":"/4","opened_ns":200,"end":{"time_ns":290,"how":"answered","status":200},"grpc_status":null}
{"kind":"call","request":7,"task":15,"ids":[{"header":"x-request-id","value":"a"}],"method":"GET","path":"/next","opened_ns":125,"end":{"time_ns":160,"how":"answered","status":503},"grpc_status":null}
{"kind":"call","request":9,"task":16,"ids":[],"method":"POST","path":"/quiet","opened_ns":125,"end":null,"grpc_status":null}
{"kind":"segment","task":14,"request":7,"from_ns":129,"to_ns":145}"#;

const ALL: Bars = Bars { http2: true };

/// The comparison when, in the truth and in the claims, these texts are replaced.
fn result(truth: &[(&str, &str)], claims: &[(&str, &str)], bars: Bars) -> Comparison {
    let edit = |text: &str, edits: &[(&str, &str)]| {
        edits.iter().fold(text.trim().to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "no {from}");
            text.replace(from, to).trim().replace("\n\n", "\n")
        })
    };
    let truth = Truth::parse(&edit(TRUTH, truth).lines().collect::<Vec<_>>()).unwrap();
    compare(&truth, &Claims::parse(edit(CLAIMS, claims).as_bytes()).unwrap(), bars)
}

fn check(truth: &[(&str, &str)], claims: &[(&str, &str)], mistakes: &[&str]) {
    let result = result(truth, claims, ALL).mistakes();
    assert_eq!(result.len(), mistakes.len(), "{result:#?}");
    for (mistake, part) in result.iter().zip(mistakes) {
        assert!(mistake.contains(part), "{mistake} has no {part}");
    }
}

fn check_claim(from: &str, to: &str, mistakes: &[&str]) {
    check(&[], &[(from, to)], mistakes);
}

/// The line of [`TRUTH`] or [`CLAIMS`] that starts so.
fn line<'a>(of: &'a str, start: &str) -> &'a str {
    of.lines().find(|line| line.starts_with(start)).unwrap()
}

#[test]
fn right() {
    check(&[], &[], &[]);
    let result = result(&[], &[], ALL);
    let counts = |score: &Score| (score.lived, score.right);
    assert_eq!(counts(&result.requests), (4, 4));
    assert_eq!(counts(&result.ends), (4, 4));
    assert_eq!(counts(&result.tasks), (3, 3), "the spawned one and the two streams");
    assert_eq!(counts(&result.by_actor), (1, 1));
    assert_eq!(counts(&result.calls), (1, 1));
    assert_eq!(counts(&result.calls_without_id), (1, 1));
    assert_eq!(counts(&result.segments), (1, 1));
    assert_eq!(result.segments_without_reply.missed.len(), 1);
    assert_eq!(result.not_judged, [("fifteen".to_owned(), 1)].into());
}

#[test]
fn requests() {
    let request = |number| line(CLAIMS, &format!(r#"{{"kind":"request","request":{number}"#));
    let gone =
        ["less than 99", "missed Request", "task 11", "task 15", "task 12", "which was not lived", "less than 99"];
    check_claim(request(7), "", &[&gone[..], &["missed Call", "which was not lived"]].concat());
    let other = |from, to| check_claim(from, to, &["was not lived", "less than 99", "missed"]);
    other(r#""path":"/4""#, r#""path":"/5""#);
    other(r#""value":"own""#, r#""value":"else""#);
    other(r#""opened_ns":200"#, r#""opened_ns":211"#);
    other(r#""time_ns":290"#, r#""time_ns":209"#);
}

#[test]
fn requests_that_nobody_served() {
    let mut truth = Truth::parse(&TRUTH.trim().lines().collect::<Vec<_>>()).unwrap();
    let left = |path: &str, id: &str| Left { path: path.into(), header: "x-request-id".into(), id: id.into() };
    truth.add_left(vec![left("/left", "gone"), left("/1", "a")]);
    assert_eq!(truth.unserved.len(), 1, "the other was served");
    let compared = |how: &str, id: &str| {
        let line = format!(
            r#"{{"kind":"request","request":99,"task":21,"ids":[{{"header":"x-request-id","value":"{id}"}}],"method":"GET","path":"/left","opened_ns":100,"end":{{"time_ns":101,"how":"{how}","status":null}},"grpc_status":null}}"#
        );
        let claims = format!("{}\n{line}", CLAIMS.trim());
        compare(&truth, &Claims::parse(claims.as_bytes()).unwrap(), ALL)
    };
    let right = compared("cancelled", "gone");
    assert_eq!((right.mistakes(), right.unserved), (Vec::new(), 1));
    assert_eq!(compared("cancelled", "another").mistakes().len(), 1);
    assert_eq!(compared("unknown", "gone").mistakes().len(), 1);
}

#[test]
fn calls_that_were_never_sent() {
    let lived = TRUTH.replacen("\"how\":\"answered\",\"status\":503", "\"how\":\"cancelled\",\"status\":null", 1);
    let unclaimed = CLAIMS.replace(line(CLAIMS, r#"{"kind":"call","request":7"#), "");
    let missed = |next: &str| {
        let mut truth = Truth::parse(&lived.trim().lines().collect::<Vec<_>>()).unwrap();
        truth.mark_unsent(&Truth::parse(&next.trim().lines().collect::<Vec<_>>()).unwrap());
        let claims = unclaimed.trim().replace("\n\n", "\n");
        compare(&truth, &Claims::parse(claims.as_bytes()).unwrap(), ALL).calls.missed.len()
    };
    assert_eq!(missed(""), 0);
    let arrived = r#"{"kind":"request","request":1,"header":"x-request-id","id":"a","made":null,"method":"GET","path":"/next","task":1,"begin_ns":1,"end_ns":2,"how":"cancelled","status":null,"grpc":null}"#;
    assert_eq!(missed(arrived), 1);
}

#[test]
fn ends() {
    let end = |from, to| check_claim(from, to, &["instead of Request"]);
    end(r#""how":"cancelled""#, r#""how":"answered""#);
    end(r#""grpc_status":5"#, r#""grpc_status":0"#);
    end(r#""time_ns":290,"how":"answered","status":200"#, r#""time_ns":290,"how":"answered","status":503"#);
}

#[test]
fn tasks() {
    let task = |number, from, to, mistakes: &[&str]| {
        let of = line(CLAIMS, &format!(r#"{{"kind":"task","task":{number}"#));
        check_claim(of, &of.replace(from, to), mistakes);
    };
    task(11, ":7}", ":10}", &["task 11 (eleven) served 1 (/1 Some(\"a\")) and not 4"]);
    task(11, ":7}", ":null}", &["less than 99", "missed task 11"]);
    task(12, ":7}", ":10}", &["task 12 (twelve) served 1"]);
    task(12, ":7}", ":null}", &[]);
    task(13, ":null}", ":7}", &["task 13 (thirteen) served no request"]);
    task(14, ":null}", ":7}", &["task 14 (fourteen) served no request"]);
    task(21, ":null}", ":7}", &["task 21 is claimed for one request, and served 2"]);
    task(15, ":7}", ":10}", &["task 15 (fifteen) wrote a call of 1"]);
    task(22, ":9}", ":10}", &["task 22 (stream) served 2"]);
}

#[test]
fn calls() {
    let bears = line(CLAIMS, r#"{"kind":"call","request":7"#);
    check_claim(bears, "", &["less than 99", "missed Call"]);
    check_claim(bears, &bears.replace(":7,", ":10,"), &["is not one of 4", "less than 99", "missed"]);
    check_claim(bears, &bears.replace(":7,", ":null,"), &["less than 99", "missed"]);
    check_claim(bears, &bears.replace(":125,", ":119,"), &["is not one of 1", "less than 99", "missed"]);
    check_claim(bears, &bears.replace("503", "200"), &["instead of Call"]);
    check_claim(bears, &bears.replace("503", "null"), &["less than 99", "missed"]);
    check_claim(bears, &format!("{bears}\n{bears}"), &["is not one of 1"]);
    let quiet = line(CLAIMS, r#"{"kind":"call","request":9"#);
    check_claim(quiet, "", &[]);
    check_claim(quiet, &quiet.replace(":9,", ":7,"), &["is not one of 1"]);
    check_claim(
        quiet,
        &quiet.replace("\"end\":null", "\"end\":{\"time_ns\":160,\"how\":\"answered\",\"status\":200}"),
        &["instead of Call"],
    );
}

#[test]
fn segments() {
    let of = line(CLAIMS, r#"{"kind":"segment""#);
    check_claim(of, "", &[]);
    check_claim(of, &of.replace(":7,", ":10,"), &["holds Segment { task: 14, request: 1"]);
    check_claim(of, &of.replace(":145}", ":151}"), &["holds Segment { task: 14, request: 2"]);
    check_claim(of, &of.replace(":129,", ":141,"), &["holds nothing"]);
}

#[test]
fn losses() {
    check(&[], &[("\"lost\":0", "\"lost\":3")], &["3 events lost"]);
}

#[test]
fn without_http2_grpc_may_be_missing_but_not_wrong() {
    let bars = Bars { http2: false };
    let all = CLAIMS.lines().filter(|line| ["\"request\":8", "\"request\":9"].iter().any(|text| line.contains(text)));
    let gone: Vec<_> = all.filter(|line| !line.contains("\"kind\":\"task\"")).map(|line| (line, "")).collect();
    let unclaimed = [("\"request\":9}", "\"request\":null}"), ("\"request\":8}", "\"request\":null}")];
    let nothing: Vec<_> = gone.iter().copied().chain(unclaimed).collect();
    assert_eq!(result(&[], &nothing, bars).mistakes(), Vec::<String>::new());
    assert_eq!(result(&[], &gone, bars).mistakes().len(), 2, "tasks for requests that are not there");
    assert!(!result(&[], &nothing, ALL).mistakes().is_empty());
}
