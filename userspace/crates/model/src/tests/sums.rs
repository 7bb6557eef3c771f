//! What holds for any events whatsoever.

use proptest::prelude::*;

use crate::testing::any_events;
use crate::testing::script::{facts, graph, times};
use crate::{Close, Closed, Config, Detail, Evidence, Graph, Outcome, Owner, Parent, TaskIndex};
use asyncscope_trace::event::{At, Completion, Connection, Event, Message, Source, SpawnWay};
use asyncscope_trace::event::{Start, State, TaskId, TaskRef, What};

fn lifetimes_add_up(graph: &Graph) {
    for task in graph.tasks().values() {
        let t = task.times();
        let end = task.end().map_or(graph.end_ns(), |end| end.time_ns);
        assert_eq!(t.running_ns + t.off_cpu_ns + t.ready_ns + t.waiting_ns, end - task.first_seen_ns, "{task:?}");
        assert!(t.nested_ns <= t.running_ns + t.off_cpu_ns && t.polls_ns <= t.running_ns + t.off_cpu_ns, "{task:?}");
        assert!(t.trap_ns <= t.off_cpu_ns, "{task:?}");
        let polls = graph.polls().iter().filter(|poll| poll.task == Some(task.id) && poll.outcome != Outcome::Refused);
        assert_eq!(polls.clone().count() as u64, task.polls, "{task:?}");
        assert_eq!(polls.filter(|poll| poll.end_ns.is_none()).count() as u64, task.polls_unended());
        let wakes = graph.wakes().iter().filter(|wake| wake.task == task.id);
        assert_eq!(wakes.count() as u64, task.wakes);
    }
}

fn parents_come_first(graph: &Graph) {
    for (index, task) in graph.tasks().iter() {
        if let Parent::Task(parent) = task.parent() {
            assert!(graph.index_of(parent).unwrap() < index);
        }
    }
}

fn totals_add_up(graph: &Graph) {
    let totals = graph.totals();
    assert_eq!(totals.polls, graph.polls().iter().filter(|poll| poll.outcome != Outcome::Refused).count() as u64);
    assert_eq!(totals.wakes, graph.wakes().len() as u64);
    let born = graph.tasks().values().filter(|task| task.born().is_some());
    assert_eq!(totals.spawns, born.count() as u64);
}

/// Checks that what is claimed of requests, calls and tasks fits together.
fn claims_fit(graph: &Graph) {
    for request in graph.requests() {
        let end = request.end.map_or(graph.end_ns(), |end| end.time_ns);
        assert!(end >= request.opened_ns);
        if let Some(t) = request.times {
            assert_eq!(t.running_ns + t.off_cpu_ns + t.ready_ns + t.waiting_ns, end - request.opened_ns, "{request:?}");
        }
        assert!(request.end.is_none_or(|end| end.how != Closed::Unknown || request.times.is_none()));
        assert!(request.task.is_none_or(|task| graph.task(task).is_some()));
    }
    let known = |owner: &Owner| owner.candidates().iter().all(|id| graph.request(*id).is_some());
    for task in graph.tasks().values() {
        let owner = graph.owner(task.id);
        assert!(known(&owner) && !matches!(&owner, Owner::Ambiguous(ids) if ids.len() < 2), "{owner:?}");
        if owner.request().is_some() {
            assert!(matches!(task.parent(), Parent::Task(_)) && !task.runtime, "{task:?}");
        }
    }
    for call in graph.calls() {
        let owner = graph.owner_of_call(call);
        assert!(known(&owner));
        let evidence = graph.evidence_of_call(call);
        assert!(owner.request().is_none() || evidence.is_some_and(|by| by != Evidence::Wake), "{call:?}");
        assert!(owner != Owner::None || evidence.is_none(), "{call:?}");
    }
    assert!(graph.segments().iter().all(|segment| known(&graph.owner_of_segment(segment))));
    assert_eq!(graph.totals().requests, graph.requests().len() as u64);
    assert_eq!(graph.totals().calls, graph.calls().len() as u64);
}

/// Nothing that was under way during a gap is claimed to have ended in a known way.
fn gaps_are_respected(graph: &Graph) {
    for gap in graph.gaps() {
        let across = |opened: u64, end: Option<Close>| {
            let end = end.filter(|end| end.how != Closed::Unknown).map(|end| end.time_ns);
            opened < gap.until_ns && end.is_some_and(|end| end >= gap.since_ns)
        };
        for request in graph.requests() {
            assert!(!across(request.opened_ns, request.end), "{gap:?} {request:?}");
        }
        for call in graph.calls() {
            assert!(!across(call.opened_ns, call.end), "{gap:?} {call:?}");
        }
    }
}

#[test]
fn of_a_literal_stream() {
    let graph = graph("1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/90 wake 7; 1/90 poll 7; 1/80 end 7 done; 1/90 panic");
    assert_eq!(times(&graph), "7 run 20 ready 20 wait 10 busy 20");
    assert_eq!(graph.tasks()[TaskIndex::new(0)].times().polls_ns, 20);
    assert_eq!(graph.tasks()[TaskIndex::new(0)].times().longest_poll_ns, 10);
    lifetimes_add_up(&graph);
}

#[test]
fn of_times_that_go_back() {
    let mut graph = Graph::new(&Config::default().with_detail(Detail::Intervals));
    let task = TaskRef { header: 1, id: Some(TaskId(1)), vtable: 0 };
    for time in [50, 20, u64::MAX, 3] {
        let at = At { time, sp: 50 - time.min(50), ..At::default() };
        graph.apply(&Event { at, what: What::PollStart { task, state: State(0) } });
    }
    graph.finish(7);
    assert_eq!(graph.end_ns(), u64::MAX);
    lifetimes_add_up(&graph);
}

/// The streams below have off-CPU time in polls, too.
#[test]
fn off_cpu_inside_a_poll() {
    let check = |script: &str, expected: &[(u64, u64)]| {
        let graph = graph(script);
        let seen: Vec<(u64, u64)> =
            graph.tasks().values().map(|t| (t.times().running_ns, t.times().off_cpu_ns)).collect();
        assert_eq!(seen, expected, "{script}");
        lifetimes_add_up(&graph);
    };
    check("1/90 poll 7; 1/50 off-cpu 12; 1/80 end 7 done", &[(12, 8)]);
    // Not before the thread was last seen, nor before the poll.
    check("1/90 poll 7; 2/90 poll 8; 1/50 off-cpu 0; 2/80 end 8; 1/80 end 7 done", &[(20, 20), (20, 0)]);
    check("1/90 poll 7; 1/70 wake 7; 1/50 off-cpu 0; 1/80 end 7 done", &[(20, 10)]);
    // The innermost poll is off the CPU; what is above it on the stack has returned.
    check("1/90 poll 7; 1/70 poll 8; 1/50 off-cpu 25; 1/60 end 8 done; 1/80 end 7 done", &[(40, 0), (15, 5)]);
    check("1/90 poll 7; 1/95 off-cpu 12; 1/80 end 7 done", &[(20, 0)]);
    // A worker that parks is not off the CPU in its own poll; outside of polls nobody is.
    check("1/90 poll 900@9; 1/50 off-cpu 12; 1/80 end 900 done", &[(20, 0)]);
    check("1/90 poll 7; 1/80 end 7; 1/50 off-cpu 22; 1/90 poll 7; 1/80 end 7 done", &[(20, 0)]);
    // In doubt after a gap.
    check("1/90 poll 7; 2/0 gap; 1/50 off-cpu 22; 1/80 end 7 done", &[(30, 0)]);
    // Until the end of what was watched.
    check("1/90 poll 7; 1/50 off-cpu 12", &[(12, 8)]);
    // Where its end was not seen, it is not known how much of it was, once the thread has done something.
    check("1/90 poll 7; 1/50 off-cpu 12 unseen; 1/80 end 7 done", &[(12, 8)]);
    check("1/90 poll 7; 1/70 wake 7; 1/50 off-cpu 12 unseen; 1/80 end 7 done", &[(30, 0)]);
    check("1/90 poll 7; 1/70 wake 7; 1/50 off-cpu 22 unseen; 1/80 end 7 done", &[(22, 8)]);
}

proptest! {
    #[test]
    fn of_any_stream(events in any_events(), attached: bool) {
        let mut graph = Graph::new(&Config::from(&facts(attached)).with_detail(Detail::Intervals));
        for event in &events {
            graph.apply(event);
        }
        graph.finish(5000);
        lifetimes_add_up(&graph);
        parents_come_first(&graph);
        totals_add_up(&graph);
        claims_fit(&graph);
        gaps_are_respected(&graph);
    }
}

/// The connection's task is over, by an end of a poll that names another header, when it reads a request and
/// spawns: what it did for the request is not known.
#[test]
fn a_stream_spawned_by_a_task_that_is_over() {
    let at = |time, sp| At { time, sp, ..At::default() };
    let task = |id, header| TaskRef { header, id: Some(TaskId(id)), vtable: 1 };
    let connection = Connection { source: Source::Http2, key: 0 };
    let start = Start::Request { method: b"GET".to_vec(), path: b"/".to_vec(), cut: false };
    let (by, early, grpc_status, values) = (None, false, None, Vec::new());
    let read = Message { connection, substream: 1, written: false, by, early, start, grpc_status, values };
    let (zero, complete) = (State(0), State(probe_common::record::state::COMPLETE));
    let mut graph = Graph::new(&Config::from(&facts(false)).with_detail(Detail::Intervals));
    for (at, what) in [
        (at(0, 2), What::PollStart { task: task(4, 0), state: zero }),
        (at(0, 2), What::PollEnd { task: task(4, 1), old: zero, new: complete }),
        (at(0, 1), What::Message(Box::new(read))),
        (
            at(1, 1),
            What::Spawn {
                task: task(1, 0),
                state: zero,
                caller: 0,
                way: SpawnWay::Owned,
                completion: Completion::Over,
            },
        ),
    ] {
        graph.apply(&Event { at, what });
    }
    graph.finish(5000);
    claims_fit(&graph);
    assert_eq!(
        graph.requests().map(|request| (request.task, request.times)).collect::<Vec<_>>(),
        [(Some(TaskId(1)), None)]
    );
}

/// The streams above are not so wild that nothing is ever claimed.
#[test]
fn claims_are_made() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut tasks, mut calls, mut answered, mut segments, mut lines) = (0, 0, 0, 0, 0);
    for _ in 0..1000 {
        let events = any_events().new_tree(&mut runner).unwrap().current();
        let config = Config::from(&facts(false)).with_detail(Detail::Intervals).with_log_lines(Some(u64::MAX));
        let mut graph = Graph::new(&config);
        events.iter().filter(|event| !matches!(event.what, What::Gap { .. })).for_each(|event| graph.apply(event));
        graph.finish(5000);
        tasks += graph.tasks().values().filter(|task| graph.owner(task.id).request().is_some()).count();
        calls += graph.calls().filter(|call| graph.owner_of_call(call).request().is_some()).count();
        answered += graph.requests().filter(|request| request.times.is_some() && request.end.is_some()).count();
        lines += graph.log_lines().filter(|(_, line)| graph.owner_of_log_line(line).request().is_some()).count();
        segments += graph.segments().iter().filter(|s| graph.owner_of_segment(s).request().is_some()).count();
    }
    let all = [tasks, calls, answered, lines];
    assert!(all.iter().all(|count| *count > 20) && segments > 5, "{all:?} {segments}");
}
