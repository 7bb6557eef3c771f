//! Spawns: which of the tasks handed to a scheduler are new, and whose they are.

use super::Graph;
use super::frames::Actor;
use super::task::{Birth, Parent, Phase};
use crate::event::{At, SpawnWay, State, TaskRef};
use crate::facts::TaskKind;
use probe_common::record::state::INITIAL;

impl Graph {
    pub(super) fn spawn(&mut self, at: &At, task: &TaskRef, state: State, way: SpawnWay) {
        let Some(id) = task.id.filter(|&id| self.index_of(id).is_none()) else {
            return;
        };
        let passed_over = self.thread(at.tid).passed_over == Some(id);
        if way == SpawnWay::Local && (passed_over || state.0 != INITIAL) {
            // A task of before, on its way back into its queue.
            self.find_or_add(task, Phase::Ready);
            return;
        }
        let parent = self.parent(at.tid);
        let child = self.add(id, task.vtable, Phase::Ready, parent);
        let child_task = &mut self.tasks[child];
        child_task.born = Some(Birth { time_ns: self.now, thread: at.tid });
        if child_task.kind == TaskKind::Unknown {
            child_task.kind = kind_by(way);
        }
        self.totals.spawns += 1;
        self.fresh.spawns.push((self.now, child));
    }

    fn parent(&self, tid: u32) -> Parent {
        match self.actor(tid) {
            Actor::Task(index) => Parent::Task(self.tasks[index].id),
            Actor::Worker | Actor::Thread => Parent::Root(tid),
            Actor::Unknown(why) => Parent::Unknown(why),
        }
    }
}

fn kind_by(way: SpawnWay) -> TaskKind {
    match way {
        SpawnWay::Owned => TaskKind::Spawned,
        SpawnWay::Blocking => TaskKind::Blocking,
        SpawnWay::Local => TaskKind::Local,
    }
}
