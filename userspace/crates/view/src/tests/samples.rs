use super::super::lost::Lost;
use super::super::samples::{ChosenRequests, GroupBy};
use super::super::stacks::GraphPart;
use super::super::weight::Weight;
use super::super::{flamegraph, json, requests, summary};
use super::text;
use asyncscope_model::Detail;
use asyncscope_model::testing::sampled;
use asyncscope_model::testing::script::graph_of;

pub(super) const SCRIPT: &str = "4/0 name main; 1/0 stack 5 poll 16 104; 1/0 code 16 svc::hash svc::work; \
                      1/0 code 104 svc::handle::{{closure}} tokio::runtime::task::raw::poll; 1/0 stack 6 cut 16; \
                      4/90 born 1 none; 4/90 born 2 1; 4/90 sample 1 5; 4/90 sample 2 6 kernel; \
                      4/90 sample none 9; 4/90 sample unknown 9; 4/90 sample none 5";

fn folded(by: GroupBy) -> String {
    let facts = sampled();
    let graph = graph_of(&facts, SCRIPT, Detail::Totals);
    let stacks = GraphPart::Samples(by, None).fold(&graph, &facts, Weight::Cpu);
    stacks.into_iter().map(|(stack, count)| format!("{stack} {count}\n")).collect()
}

#[test]
fn samples_stand_under_the_tasks_that_spawned() {
    let expected = "\
[thread main];[outside of tasks] 1
[thread main];[task not known] 1
[thread main];svc::handle;svc::handle::{{closure}};svc::work;svc::hash 2
[thread main];svc::handle;svc::query;[stack cut];svc::work;svc::hash;[kernel] 1
";
    assert_eq!(folded(GroupBy::Task), expected);
}

#[test]
fn samples_by_thread_leave_ancestors_out() {
    let reported = folded(GroupBy::Thread);
    assert!(reported.contains("[thread main];svc::query;[stack cut];svc::work;svc::hash;[kernel] 1\n"), "{reported}");
}

#[test]
fn titles_say_how_it_was_sampled() {
    let facts = sampled();
    let graph = graph_of(&facts, SCRIPT, Detail::Totals);
    let picture =
        text(|out| flamegraph::write(&graph, &facts, Weight::Cpu, &GraphPart::Samples(GroupBy::Task, None), out));
    assert!(picture.contains("CPU time, 5 samples at 100 Hz"), "{picture}");
    assert!(picture.contains("0 events lost, 2 stacks not kept"), "{picture}");
    let said = text(|out| summary::write(&graph, &facts, &Lost::default(), out));
    assert!(said.contains("3 in tasks, 1 outside of them, 1 of which it is not known"), "{said}");
    assert!(said.contains("2 of 3 reached the poll function, 1: deeper than what is copied of a stack"), "{said}");
    assert!(said.contains("2 samples whose stack is not kept"), "{said}");
    assert!(!said.contains("polls"), "{said}");
}

/// Task 1 serves a request, for which it spawns task 2, and goes on to another one.
const SERVED: &str = "4/90 born 1 none; 4/90 read GET /a on 5 by=1 id=x; 4/90 sample 1 0; 4/90 born 2 1; \
                      4/90 sample 2 0; 4/90 sample 2 0; 4/90 end 2 done; 4/90 write 200 on 5 by=1; 4/90 sample 1 0; \
                      4/90 read GET /b/7 on 5 by=1; 4/90 sample 1 0; 4/90 write 200 on 5 by=1";

fn served(by: GroupBy, only: Option<ChosenRequests>) -> String {
    let (facts, graph) = (sampled(), graph_of(&sampled(), SERVED, Detail::Requests));
    let stacks = GraphPart::Samples(by, only).fold(&graph, &facts, Weight::Cpu);
    stacks.into_iter().map(|(stack, count)| format!("{stack} {count}\n")).collect()
}

#[test]
fn samples_stand_under_their_requests() {
    let expected = "\
GET /a;svc::handle 1
GET /a;svc::handle;svc::query 2
GET /b/7;svc::handle 1
[request not known];svc::handle 1
";
    assert_eq!(served(GroupBy::Route, None), expected);
    assert!(
        served(GroupBy::Request, None).starts_with("GET /a x;svc::handle 1\n"),
        "{}",
        served(GroupBy::Request, None)
    );
    let graph = graph_of(&sampled(), SERVED, Detail::Requests);
    let last = graph.requests().map(|request| request.id).last();
    let only = ChosenRequests { requests: last.into_iter().collect(), label: Some("/b/*".to_owned()) };
    assert_eq!(served(GroupBy::Route, Some(only)), "/b/*;svc::handle 1\n");
}

#[test]
fn samples_are_reported_of_each_request() {
    let (facts, graph) = (sampled(), graph_of(&sampled(), SERVED, Detail::Requests));
    let all: Vec<_> = graph.requests().collect();
    let table = text(|out| requests::write(&graph, &facts, &all, out));
    assert!(table.contains("SAMPLES") && table.contains("3  30.0ms      2  GET     /a"), "{table}");
    let reported = text(|out| json::write(&graph, &facts, &Lost::default(), out));
    assert!(
        reported.contains(r#"{"kind":"samples","task":2,"type":"svc::query","request":1,"samples":2}"#),
        "{reported}"
    );
    assert!(
        reported.contains(r#"{"kind":"samples","task":1,"type":"svc::handle","request":null,"samples":1}"#),
        "{reported}"
    );
    assert!(reported.contains(r#""samples":3}"#), "{reported}");
    let said = text(|out| summary::write(&graph, &facts, &Lost::default(), out));
    assert!(said.contains("3  60.00%  GET /a"), "{said}");
}
