//! What tasks awaited.

use crate::testing::script::graph;
use asyncscope_trace::event::TaskId;

#[track_caller]
fn check(script: &str, expected: &[(u64, u64, u64)]) {
    let graph = graph(script);
    let task = graph.task(TaskId(1)).unwrap();
    let waited: Vec<_> = task.waited().iter().map(|waited| (waited.chain, waited.ns, waited.times)).collect();
    assert_eq!(waited, expected, "{script}");
    let known: u64 = waited.iter().map(|(_, ns, _)| ns).sum();
    assert!(known <= task.times().ready_ns + task.times().waiting_ns, "{script}");
}

#[test]
fn a_wait_belongs_to_the_chain_reported_after_it() {
    check("1/90 spawn 1; 1/90 poll 1; 1/90 awaited 1 5; 1/80 end 1", &[(5, 10, 1)]);
    check(
        "1/90 spawn 1; 1/90 poll 1; 1/90 awaited 1 5; 1/80 end 1; 1/90 poll 1; 1/90 awaited 1 6; 1/80 end 1",
        &[(5, 10, 1), (6, 10, 1)],
    );
    check(
        "1/90 spawn 1; 1/90 poll 1; 1/90 awaited 1 5; 1/80 end 1; 1/90 poll 1; 1/90 awaited 1 5; 1/80 end 1",
        &[(5, 20, 2)],
    );
}

#[test]
fn a_wait_of_which_nothing_was_reported_stays_unknown() {
    check("1/90 spawn 1; 1/90 poll 1; 1/80 end 1; 1/90 poll 1; 1/90 awaited 1 5; 1/80 end 1", &[(5, 10, 1)]);
    check("1/90 spawn 1; 1/90 awaited 2 5; 1/90 poll 1; 1/80 end 1", &[]);
}

#[test]
fn a_wait_that_goes_on_is_reported_without_a_poll() {
    check("1/90 spawn 1; 1/90 poll 1; 1/80 end 1; 1/90 awaited 1 7", &[(7, 10, 1)]);
}
