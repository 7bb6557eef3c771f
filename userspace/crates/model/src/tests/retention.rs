//! Tasks that leave: how much remains of them, and what still holds for those that stay.

use crate::testing::script::{events, facts, parents};
use crate::{Config, Graph, SpanDetail};
use asyncscope_trace::event::{At, Completion, Event, SpawnWay, State, TaskId, TaskRef, What};
use probe_common::record::state::{COMPLETE, INITIAL, RUNNING};

fn graph() -> Graph {
    Graph::new(&Config::from(&facts(false)).with_span_detail(Some(SpanDetail { min_ns: 0 })))
}

fn apply(graph: &mut Graph, script: &str) {
    events(script).iter().for_each(|event| graph.apply(event));
}

fn evict(graph: &mut Graph) -> usize {
    let over = graph.take_ended(u64::MAX);
    graph.evict(&over);
    over.len()
}

/// A life of three events on thread 1, the task being spawned by `parent`, which is never over.
fn life(id: u64, time: u64) -> [Event; 3] {
    let task = TaskRef { header: id, id: Some(TaskId(id)), vtable: 1 };
    let at = |later, tid| At { time: time + later, tid, sp: 80, ..At::default() };
    let spawn =
        What::Spawn { task, state: State(INITIAL), caller: 0, way: SpawnWay::Owned, completion: Completion::Over };
    let end = What::PollEnd { task, old: State(RUNNING), new: State(COMPLETE) };
    [(0, 1, spawn), (1, 2, What::PollStart { task, state: State(0) }), (2, 2, end)]
        .map(|(later, tid, what)| Event { at: at(later, tid), what })
}

#[test]
fn a_long_run_stays_small() {
    let mut graph = graph();
    apply(&mut graph, "1/90 spawn 1; 1/90 poll 1");
    for round in 0..20 {
        for n in 0..1000 {
            let id = 1000 + round * 1000 + n;
            life(id, id * 10).iter().for_each(|event| graph.apply(event));
        }
        assert_eq!(evict(&mut graph), 1000);
        assert_eq!(graph.tasks().iter().count(), 1);
    }
    assert_eq!((graph.totals().tasks, graph.totals().spawns), (20_001, 20_001));
    assert_eq!(graph.open().map(|task| task.id.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn frames_and_lines_of_those_who_stay_stand() {
    let mut graph = graph();
    apply(&mut graph, "1/90 spawn 1; 1/90 poll 1; 1/80 spawn 3; 2/90 poll 3; 2/80 spawn 5; 2/80 end 3 done");
    for n in 0..3000 {
        life(10_000 + n, 100 + n * 10).iter().for_each(|event| graph.apply(event));
    }
    evict(&mut graph);
    assert!(graph.task(TaskId(3)).is_none() && graph.tasks().iter().count() == 2);
    let spawn = |id| What::Spawn {
        task: TaskRef { header: id, id: Some(TaskId(id)), vtable: 1 },
        state: State(INITIAL),
        caller: 0,
        way: SpawnWay::Owned,
        completion: Completion::Over,
    };
    graph.apply(&Event { at: At { time: 90_000, tid: 1, sp: 80, ..At::default() }, what: spawn(7) });
    assert_eq!(parents(&graph), "1<root1, 5<3, 7<1");
    let line = &graph.task(TaskId(5)).unwrap().history.as_ref().unwrap().line;
    assert_eq!(line.upwards().map(|line| line.id.0).collect::<Vec<_>>(), [5, 3, 1]);
    assert_eq!(line.root.id, TaskId(1));
}

#[test]
fn a_late_word_does_not_bring_a_task_back() {
    let mut graph = graph();
    apply(&mut graph, "1/90 spawn 7; 1/90 poll 7; 1/80 end 7 done");
    assert_eq!(evict(&mut graph), 1);
    apply(&mut graph, "1/90 wake 7; 1/90 poll 7; 1/80 end 7 done; 1/90 spawn 7 local; 1/90 abort 7");
    assert_eq!((evict(&mut graph), graph.open().count()), (0, 0));
    assert_eq!(graph.totals().tasks, 1);
}
