use super::compare::compare;
use super::table::{Floor, Kinds, all_false, mistakes, shown};
use super::truth::Truth;
use super::verdict::{Verdict, judge};
use crate::chain::claims::Claims;

const TRUTH: &str = "ready 1
R a 10 call
R b 10 call
R c 11 actor
C a 20
C b.m 21
D actor 30
K a.0 answered
K b.0 answered
K b.1 dropped
K c.0 answered
done";

const RECORDING: &str = r#"{"kind":"recording","armed":{"monotonic_ns":0},"end_ns":9,"totals":{"tasks":0,"polls":0,"spawns":0,"gaps":0,"lost":0,"polls_unended":0}}"#;

fn requests() -> String {
    let request = |number: u64, task: u64, path: &str| {
        format!(r#"{{"kind":"request","request":{number},"task":{task},"path":"{path}","opened_ns":{number}}}"#)
    };
    [request(1, 10, "/w/call/a"), request(2, 10, "/w/call/b"), request(3, 11, "/w/actor/c")].join("\n")
}

fn call(name: &str, claim: &str) -> String {
    format!(r#"{{"kind":"call","task":40,"path":"/slow/{name}","opened_ns":5,{claim}}}"#)
}

fn task(id: u64, claim: &str) -> String {
    format!(r#"{{"kind":"task","task":{id},"type":"t",{claim}}}"#)
}

fn compared(lines: &[String]) -> Kinds {
    let truth = Truth::parse(&TRUTH.lines().map(str::to_owned).collect::<Vec<_>>()).expect("a truth");
    let text = [&[RECORDING.to_owned(), requests()], lines].concat().join("\n");
    compare(&truth, &Claims::parse(text.as_bytes()).expect("claims"))
}

#[test]
fn a_claim_is_judged() {
    assert_eq!(judge(Some(1), None, Some(1)), Verdict::Right);
    assert_eq!(judge(Some(2), None, Some(1)), Verdict::Wrong);
    assert_eq!(judge(None, Some(&[2, 1]), Some(1)), Verdict::Candidate);
    assert_eq!(judge(None, Some(&[2, 3]), Some(1)), Verdict::Without);
    assert_eq!(judge(None, None, Some(1)), Verdict::Silent);
}

#[test]
fn a_request_that_was_not_seen_has_no_claims() {
    assert_eq!(judge(Some(2), None, None), Verdict::Wrong);
    assert_eq!(judge(None, Some(&[2]), None), Verdict::Without);
    assert_eq!(judge(None, None, None), Verdict::Silent);
}

#[test]
fn calls_are_counted_by_the_kind_of_their_request() {
    let kinds = compared(&[
        call("a.0", r#""request":1,"evidence":"reply""#),
        call("b.0", r#""request":null,"candidates":[1,2]"#),
        call("b.1", r#""request":1,"evidence":"id""#),
    ]);
    let (calls, actor) = (&kinds["call"].calls, &kinds["actor"].calls);
    assert_eq!((calls.right, calls.candidate, calls.wrong.len(), calls.missing), (1, 1, 1, 0));
    assert_eq!(calls.evidence["reply"], 1);
    assert_eq!((actor.lived(), actor.missing), (1, 1));
    assert_eq!(all_false(&kinds), [r#"call: call b.1 is said to be of a, evidence Some("id")"#]);
}

#[test]
fn children_are_counted_by_the_kind_of_their_request() {
    let kinds = compared(&[task(20, r#""request":1"#), task(21, r#""request":1"#)]);
    let children = &kinds["call"].children;
    assert_eq!((children.right, children.wrong.len()), (1, 1));
    assert_eq!(kinds["call"].requests.right, 2);
}

#[test]
fn who_serves_several_is_nobodys() {
    let calls = [call("a.0", r#""request":1"#), call("b.0", r#""request":2"#)];
    let claimed = [&calls[..], &[task(30, r#""request":3"#), task(40, r#""request":1"#)]].concat();
    let kinds = compared(&claimed);
    assert_eq!((kinds["actor"].drivers.wrong.len(), kinds["call"].drivers.wrong.len()), (1, 1));
    let unclaimed = [&calls[..], &[task(30, r#""request":null"#), task(40, r#""request":null"#)]].concat();
    assert!(all_false(&compared(&unclaimed)).is_empty());
}

#[test]
fn a_segment_with_anothers_head_is_wrong() {
    let segment = r#"{"kind":"segment","task":40,"request":1,"from_ns":4,"to_ns":6}"#.to_owned();
    let kinds = compared(&[call("a.0", r#""request":1"#), segment.clone()]);
    assert!(kinds["call"].segments.wrong.is_empty());
    let kinds = compared(&[call("b.0", r#""request":2"#), segment]);
    assert_eq!(kinds["call"].segments.wrong.len(), 1);
    let floor = [Floor { kind: "call", reported: 0, right: 0, children: 0, unlikely: 0 }];
    assert_eq!(mistakes_of_call(&kinds, &floor), 1);
}

fn mistakes_of_call(kinds: &Kinds, floors: &[Floor]) -> usize {
    mistakes(kinds, floors).iter().filter(|mistake| mistake.starts_with("call:")).count()
}

#[test]
fn floors_are_held() {
    let floor = |kind, reported, right| Floor { kind, reported, right, children: 0, unlikely: 0 };
    let kinds = compared(&[
        call("a.0", r#""request":1"#),
        call("b.0", r#""request":null,"candidates":[1,2]"#),
        call("c.0", r#""request":3"#),
    ]);
    assert!(mistakes(&kinds, &[floor("call", 100, 50), floor("actor", 100, 100)]).is_empty());
    assert_eq!(
        mistakes(&kinds, &[floor("call", 100, 51), floor("actor", 100, 100)]),
        ["call: 50 % of calls right, not 51"]
    );
    assert_eq!(mistakes(&kinds, &[floor("call", 0, 0)]), ["actor: nothing is asked of it"]);
}

#[test]
fn false_claims_are_mistakes_whatever_the_floor() {
    let kinds = compared(&[call("a.0", r#""request":2"#)]);
    let floor = |kind| Floor { kind, reported: 0, right: 0, children: 0, unlikely: 100 };
    assert_eq!(mistakes(&kinds, &[floor("call"), floor("actor")]).len(), 1);
}

#[test]
fn the_table_has_a_row_a_kind() {
    let table = shown(&compared(&[call("a.0", r#""request":1,"evidence":"reply""#)]));
    assert_eq!(table.lines().count(), 4);
    assert_eq!(
        table.lines().last(),
        Some("| call | 2 | 2 | 0 | 0 | 0 | 0 | 2 | 1 | 0 | 0 | 0 | 0 | 1 | 0 | reply 1 |")
    );
}
