use asyncscope_tests::seen::{Armed, Recording, Root, SeenEnd};

use super::*;

const MS: u64 = 1_000_000;

fn lived() -> Lived {
    Lived {
        awaited: false,
        id: 7,
        r#type: "svc::fetch".into(),
        parent: Some(3),
        spawned_ns: 2_000 * MS,
        end_ns: 2_010 * MS,
        busy_ns: 4 * MS,
        polls: 2,
    }
}

fn seen() -> SeenTask {
    SeenTask {
        task: 7,
        name: "svc::fetch::{closure}".into(),
        parent: Actor::Task(3),
        born_ns: Some(2_000 * MS),
        end: Some(SeenEnd { time_ns: 2_010 * MS, how: "completed".into() }),
        polls: 2,
        busy_ns: 4 * MS,
        ready_ns: MS,
        waiting_ns: 5 * MS,
        ..SeenTask::default()
    }
}

fn watched(task: SeenTask) -> Seen {
    let armed = Armed { monotonic_ns: 1_000 * MS, ..Armed::default() };
    let recording = Recording { armed, end_ns: 6_000 * MS, ..Recording::default() };
    Seen { recording, tasks: [(task.task, task)].into(), ..Seen::default() }
}

/// Whether the verdict on a task that asyncscope saw so is, or is not, good.
fn check(change: impl FnOnce(&mut SeenTask), good: bool) {
    let mut task = seen();
    change(&mut task);
    let seen = watched(task);
    let comparison = compare(&[lived()], &seen);
    assert_eq!(comparison.verdict().is_ok(), good, "{comparison:?}");
}

#[test]
fn verdicts() {
    check(|_| {}, true);
    check(|task| task.busy_ns = 4 * MS * 104 / 100, true);
    check(|task| task.busy_ns = 4 * MS * 106 / 100, false);
    check(|task| task.waiting_ns = 4 * MS, false);
    check(|task| task.ready_ns = MS + TOLERANCE_NS, true);
    check(|task| task.polls = 3, false);
    check(|task| task.parent = Actor::Task(4), false);
    check(|task| task.parent = Actor::Root(Root { thread: 1 }), false);
    check(|task| task.parent = Actor::default(), true);
    check(|task| task.name = "task#1f".into(), false);
    check(|task| task.task = 8, false);
    check(|task| task.end = None, false);
    check(|task| task.born_ns = None, false);
}

#[test]
fn tasks_at_the_edges_may_be_missed() {
    let mut early = lived();
    early.spawned_ns = 1_050 * MS;
    let seen = watched(seen());
    let other = Lived { id: 9, ..early };
    assert_eq!(compare(&[lived(), other.clone()], &seen).missed, 0);
    assert_eq!(compare(&[lived(), Lived { spawned_ns: 1_100 * MS, ..other }], &seen).missed, 1);
}
