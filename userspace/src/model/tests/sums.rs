//! What holds for any events whatsoever.

use proptest::prelude::*;

use super::script::{facts, graph, times};
use crate::event::{At, Event, SpawnWay, State, TaskId, TaskRef, What};
use crate::model::{Detail, Graph, Outcome, Parent, Setup};

fn lifetimes_add_up(graph: &Graph) {
    for task in graph.tasks() {
        let t = task.times;
        let end = task.end.map_or(graph.end_ns(), |end| end.time_ns);
        assert_eq!(t.running_ns + t.ready_ns + t.waiting_ns, end - task.first_seen_ns, "{task:?}");
        assert!(t.nested_ns <= t.running_ns && t.polls_ns <= t.running_ns, "{task:?}");
        let polls = graph.polls().iter().filter(|poll| poll.task == Some(task.id) && poll.outcome != Outcome::Refused);
        assert_eq!(polls.clone().count() as u64, task.polls, "{task:?}");
        assert_eq!(polls.filter(|poll| poll.end_ns.is_none()).count() as u64, task.polls_unended);
        let wakes = graph.wakes().iter().filter(|wake| wake.task == task.id);
        assert_eq!(wakes.count() as u64, task.wakes);
    }
}

fn parents_come_first(graph: &Graph) {
    for (index, task) in graph.tasks().iter().enumerate() {
        if let Parent::Task(parent) = task.parent {
            assert!(graph.index_of(parent).unwrap() < index);
        }
    }
}

fn totals_add_up(graph: &Graph) {
    let totals = graph.totals();
    assert_eq!(totals.polls, graph.polls().iter().filter(|poll| poll.outcome != Outcome::Refused).count() as u64);
    assert_eq!(totals.wakes, graph.wakes().len() as u64);
    let born = graph.tasks().iter().filter(|task| task.born.is_some());
    assert_eq!(totals.spawns, born.count() as u64);
}

#[test]
fn of_a_literal_stream() {
    let graph = graph("1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/90 wake 7; 1/90 poll 7; 1/80 end 7 done; 1/90 panic");
    assert_eq!(times(&graph), "7 run 20 ready 20 wait 10 busy 20");
    assert_eq!(graph.tasks()[0].times.polls_ns, 20);
    assert_eq!(graph.tasks()[0].times.longest_poll_ns, 10);
    lifetimes_add_up(&graph);
}

#[test]
fn of_times_that_go_back() {
    let mut graph = Graph::new(&Setup::default().with_detail(Detail::Intervals));
    let task = TaskRef { header: 1, id: Some(TaskId(1)), vtable: 0 };
    for time in [50, 20, u64::MAX, 3] {
        let at = At { time, sp: 50 - time.min(50), ..At::default() };
        graph.apply(&Event { at, what: What::PollStart { task, state: State(0) } });
    }
    graph.finish(7);
    assert_eq!(graph.end_ns(), u64::MAX);
    lifetimes_add_up(&graph);
}

fn any_task() -> impl Strategy<Value = TaskRef> {
    (0u64..8, 0u64..4, prop::sample::select(vec![1, 2, 9])).prop_map(|(id, header, vtable)| TaskRef {
        header,
        id: (id > 0).then_some(TaskId(id)),
        vtable,
    })
}

fn any_what() -> impl Strategy<Value = What> {
    let word = || (0u64..256).prop_map(State);
    let way = prop::sample::select(vec![SpawnWay::Owned, SpawnWay::Blocking, SpawnWay::Local]);
    prop_oneof![
        4 => (any_task(), (0u64..2).prop_map(|n| State(n * 36))).prop_map(|(task, state)| What::PollStart { task, state }),
        1 => (any_task(), word()).prop_map(|(task, state)| What::PollStart { task, state }),
        4 => (any_task(), word(), word()).prop_map(|(task, old, new)| What::PollEnd { task, old, new }),
        3 => (any_task(), word(), word(), 0u64..0x50, any::<bool>(), any::<bool>())
            .prop_map(|(task, old, new, caller, owned, predicted)| What::Wake { task, old, new, caller, owned, predicted }),
        1 => (any_task(), word(), word()).prop_map(|(task, old, new)| What::Abort { task, old, new, predicted: false }),
        2 => (any_task(), word(), way).prop_map(|(task, state, way)| What::Spawn { task, state, caller: 0, way }),
        1 => (any_task(), word()).prop_map(|(task, state)| What::Shutdown { task, state }),
        1 => Just(What::Panic),
        1 => Just(What::PollExit),
        1 => (0u64..5000).prop_map(|since| What::Gap { since, lost: 1 }),
        1 => Just(What::ThreadAtRest),
    ]
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let one = (0u64..20, 0u32..3, 1u64..8, any_what());
    prop::collection::vec(one, 0..200).prop_map(|all| {
        let mut time = 0;
        all.into_iter()
            .map(|(later, tid, sp, what)| {
                time += later;
                let at = At { time, cpu: 0, seq: 0, tid, sp };
                Event { at, what }
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn of_any_stream(events in any_events(), attached: bool) {
        let mut graph = Graph::new(&Setup::from(&facts(attached)).with_detail(Detail::Intervals));
        for event in &events {
            graph.apply(event);
        }
        graph.finish(5000);
        lifetimes_add_up(&graph);
        parents_come_first(&graph);
        totals_add_up(&graph);
    }
}
