use crate::testing::sampled;
use crate::testing::script::{events, graph, graph_of, parents};
use crate::{Config, Detail, Graph};

fn of(script: &str) -> Graph {
    graph_of(&sampled(), script, Detail::Totals)
}

#[test]
fn parents_are_what_tokio_says_runs() {
    let check = |script: &str, expected: &str| assert_eq!(parents(&graph(script)), expected, "{script}");
    check("1/90 born 7 none", "7<root1");
    check("1/90 born 7 none; 2/90 born 8 7", "7<root1, 8<7");
    check("1/90 born 7 unknown", "7<?Unseen");
    check("attached; 1/90 born 8 7", "7<?BeforeAttach, 8<7");
    check("1/90 born 900 none; 2/90 born 8 900", "900<root1, 8<root2");
    check("1/90 born 7 none; 1/90 gap 5; 1/90 born 8 7", "7<root1, 8<7"); // a gap puts nothing in doubt
    // But it may have swallowed the spawn of a task that was sampled before the gap was reported.
    check("attached; 1/90 sample 7 5; 2/90 gap 5", "7<?Gap");
    check("attached; 1/90 sample 7 5; 2/90 born 7 none; 2/90 gap 5", "7<root2");
}

#[test]
fn a_header_says_the_type_of_an_earlier_task() {
    let check = |script: &str, vtable: u64, runtime: bool| {
        let graph = of(&format!("attached; 1/0 stack 5 poll 16 104; {script}"));
        let task = graph.tasks().values().next().unwrap();
        assert_eq!((task.vtable, task.runtime), (vtable, runtime), "{script}");
    };
    check("1/0 typed 7; 1/90 sample 7 5", 1, false);
    check("1/0 typed 900; 1/90 sample 900 5", 9, true);
    // Not the stack: the word may be that of the worker around the poll.
    check("1/90 sample 7 5", 0, false);
    check("1/90 sample 900 5; 1/0 typed 900", 9, true);
}

#[test]
fn types_that_contradict_each_other_are_counted() {
    let contradictions = |script: &str| of(script).samples().contradictions;
    assert_eq!(contradictions("1/0 stack 5 poll 104; 1/90 born 1 none; 1/90 sample 1 5"), 0);
    assert_eq!(contradictions("1/0 stack 5 poll 304; 1/90 born 1 none; 1/90 sample 1 5"), 1);
}

#[test]
fn every_sample_counts_once() {
    let script = "1/90 sample 7 5; 1/90 sample 7 5; 2/90 sample 7 5; 1/90 sample 7 5 kernel; 1/90 sample none 6; \
                  1/90 sample unknown 6";
    let graph = of(script);
    let counts: Vec<u64> = graph.samples().counts().map(|(_, count)| count).collect();
    assert_eq!((graph.samples().total, counts.len(), counts.iter().sum()), (6, 5, 6u64));
}

#[test]
fn samples_say_nothing_of_polls() {
    let mut graph = Graph::new(&Config::from(&sampled()));
    events("1/90 born 7 none; 1/90 sample 7 5").iter().for_each(|event| graph.apply(event));
    graph.finish(100);
    assert_eq!((graph.totals().polls, graph.totals().spawns), (0, 1));
}
