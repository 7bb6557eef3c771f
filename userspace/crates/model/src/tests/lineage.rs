use super::check;
use crate::testing::script::{facts, graph, graph_of, parents, times};
use crate::{Detail, MAX_ANCESTRY, Parent, TaskIndex};
use asyncscope_trace::event::TaskId;
use asyncscope_trace::facts::{Facts, TaskKind};

#[test]
fn parents_are_the_innermost_tasks() {
    check(parents, "1/90 spawn 7", "7<root1");
    check(parents, "1/90 spawn 7; 1/90 poll 7; 1/70 spawn 8", "7<root1, 8<7");
    check(parents, "1/90 spawn 7; 1/90 poll 7; 1/80 end 7; 1/70 spawn 8", "7<root1, 8<root1");
    check(parents, "1/90 poll 7; 1/70 poll 9; 1/50 spawn 8", "7<?Unseen, 9<?Unseen, 8<9");
    check(parents, "1/90 poll 7; 1/70 poll 9; 1/60 end 9; 1/50 spawn 8", "7<?Unseen, 9<?Unseen, 8<7");
    check(parents, "1/90 poll 7; 1/70 poll x; 1/50 spawn 8", "7<?Unseen, 8<?Unseen");
    check(parents, "1/90 poll 7; 2/50 spawn 8", "7<?Unseen, 8<root2");
    check(parents, "1/90 shutdown 7; 1/70 spawn 8", "7<?Unseen, 8<7");
    check(parents, "1/90 poll 7 cancelled; 1/70 spawn 8", "7<?Unseen, 8<7");
}

#[test]
fn a_task_that_is_over_is_no_parent() {
    check(parents, "1/90 poll 7; 1/80 end 7 done joined; 1/70 spawn 8", "7<?Unseen, 8<root1");
    check(parents, "1/90 poll 7; 1/90 spawn 8", "7<?Unseen, 8<root1");
}

#[test]
fn workers_are_no_parents() {
    check(parents, "1/90 spawn 900 blocking; 2/90 poll 900; 2/70 spawn 8", "900<root1, 8<root2");
    check(parents, "2/90 poll 900; 2/70 poll 7; 2/50 spawn 8", "900<?Unseen, 7<?Unseen, 8<7");
}

#[test]
fn threads_alive_before_the_attach() {
    check(parents, "attached; 1/90 spawn 7", "7<?BeforeAttach");
    check(parents, "attached; 1/90 spawn 7; 1/90 poll 7; 1/70 spawn 8", "7<?BeforeAttach, 8<7");
    check(parents, "attached; 1/0 rest; 1/90 spawn 7", "7<root1");
    check(parents, "attached; 3/90 spawn 7", "7<root3");
    check(parents, "attached; 3/90 poll 7", "7<?BeforeAttach");
    check(parents, "attached; 3/90 wake 7", "7<?BeforeAttach");
}

#[test]
fn what_no_hook_may_see_is_not_called_old() {
    let check = |unseen: &[TaskKind], kind, expected| {
        let mut facts = Facts { unseen_spawns: unseen.to_vec(), ..facts(true) };
        facts.types.iter_mut().for_each(|ty| ty.kind = kind);
        assert_eq!(parents(&graph_of(&facts, "3/90 poll 7", Detail::Intervals)), expected, "{unseen:?} {kind:?}");
    };
    check(&[], TaskKind::Blocking, "7<?BeforeAttach");
    check(&[], TaskKind::Unknown, "7<?BeforeAttach");
    check(&[TaskKind::Blocking], TaskKind::Blocking, "7<?Unseen");
    check(&[TaskKind::Blocking], TaskKind::Spawned, "7<?BeforeAttach");
    check(&[TaskKind::Local], TaskKind::Unknown, "7<?Unseen");
}

#[test]
fn a_local_set_passes_woken_tasks_too() {
    check(parents, "1/90 spawn 7 local", "7<root1");
    check(parents, "1/90 wake 7; 1/90 spawn 7 local", "7<?Unseen");
    check(parents, "1/90 wake 7 stale; 1/90 spawn 7 local", "7<?Unseen");
    check(parents, "attached; 3/90 spawn 7 local used", "7<?BeforeAttach");
    check(parents, "1/90 spawn 7 local; 1/90 poll 8; 1/70 spawn 7 local", "7<root1, 8<?Unseen");
    assert_eq!(graph("1/90 wake 7; 1/90 spawn 7 local").totals().spawns, 0);
}

#[test]
fn a_spawned_task_is_ready() {
    check(times, "1/90 spawn 7; 1/90 panic; 1/90 poll 7", "7 run 10 ready 20 wait 0 busy 10");
}

#[test]
fn kinds_come_from_the_way_where_the_type_is_silent() {
    let kind = |script: &str| graph(script).tasks()[TaskIndex::new(0)].kind;
    assert_eq!(kind("1/90 spawn 7"), TaskKind::Spawned);
    assert_eq!(kind("1/90 spawn 7 local"), TaskKind::Local);
    assert_eq!(kind("1/90 spawn 7 blocking"), TaskKind::Blocking);
    assert_eq!(kind("1/90 poll 7"), TaskKind::Unknown);
}

#[test]
fn lines_of_ancestors() {
    let graph = graph("1/90 spawn 1; 1/90 poll 1; 1/70 spawn 2; 1/80 end 1; 1/90 poll 2; 1/70 spawn 3");
    let line = graph.ancestry(TaskId(3)).unwrap();
    assert_eq!(line.tasks.iter().map(|task| task.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(line.origin, Parent::Root(1));
    assert!(graph.ancestry(TaskId(4)).is_none());
    let edges: Vec<_> = graph.spawn_edges().map(|(parent, child)| (parent.0, child.0)).collect();
    assert_eq!(edges, [(1, 2), (2, 3)]);
}

#[test]
fn a_long_line_is_cut() {
    let link = |id: u64| format!("1/90 poll {id}; 1/70 spawn {}; 1/80 end {id}", id + 1);
    let script: Vec<String> = (1..=MAX_ANCESTRY as u64 + 5).map(link).collect();
    let graph = graph(&script.join(";"));
    let line = graph.ancestry(TaskId(MAX_ANCESTRY as u64 + 3)).unwrap();
    assert_eq!(line.tasks.len(), MAX_ANCESTRY);
    assert_eq!(line.origin, Parent::Task(TaskId(3)));
}

#[test]
fn names_of_threads() {
    let graph = graph("3/0 name old; 3/0 name new");
    assert_eq!(graph.thread_name(3), Some("new"));
    assert_eq!(graph.thread_name(4), None);
}
