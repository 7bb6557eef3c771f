use super::super::samples::By;
use super::super::stacks::{Part, Weight};
use super::super::summary::Lost;
use super::super::{flamegraph, summary};
use super::text;
use crate::model::Detail;
use crate::model::tests::samples::sampled;
use crate::model::tests::script::graph_of;

pub(super) const SCRIPT: &str = "4/0 name main; 1/0 stack 5 poll 16 104; 1/0 code 16 svc::hash svc::work; \
                      1/0 code 104 svc::handle::{{closure}} tokio::runtime::task::raw::poll; 1/0 stack 6 cut 16; \
                      4/90 born 1 none; 4/90 born 2 1; 4/90 sample 1 5; 4/90 sample 2 6 kernel; \
                      4/90 sample none 9; 4/90 sample unknown 9; 4/90 sample none 5";

fn folded(by: By) -> String {
    let facts = sampled();
    let graph = graph_of(&facts, SCRIPT, Detail::Totals);
    let stacks = Part::Samples(by).fold(&graph, &facts, Weight::Cpu);
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
    assert_eq!(folded(By::Task), expected);
}

#[test]
fn samples_by_thread_leave_ancestors_out() {
    let told = folded(By::Thread);
    assert!(told.contains("[thread main];svc::query;[stack cut];svc::work;svc::hash;[kernel] 1\n"), "{told}");
}

#[test]
fn titles_say_how_it_was_sampled() {
    let facts = sampled();
    let graph = graph_of(&facts, SCRIPT, Detail::Totals);
    let picture = text(|out| flamegraph::write(&graph, &facts, Weight::Cpu, &Part::Samples(By::Task), out));
    assert!(picture.contains("CPU time, 5 samples at 100 Hz"), "{picture}");
    assert!(picture.contains("0 events lost, 2 stacks not kept"), "{picture}");
    let said = text(|out| summary::write(&graph, &facts, &Lost::default(), out));
    assert!(said.contains("3 in tasks, 1 outside of them, 1 of which it is not known"), "{said}");
    assert!(said.contains("2 of 3 reached the poll function, 1: deeper than what is copied of a stack"), "{said}");
    assert!(said.contains("2 samples whose stack is not kept"), "{said}");
    assert!(!said.contains("polls"), "{said}");
}
