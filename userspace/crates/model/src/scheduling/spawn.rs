//! Spawns: which of the tasks handed to a scheduler are new, and whose they are.

use crate::Graph;
use crate::ids::TaskIndex;
use crate::scheduling::thread::Actor;
use crate::task::lifecycle::{Birth, Parent, Phase};
use asyncscope_trace::event::{At, Completion, SpawnWay, State, TaskId, TaskRef};
use asyncscope_trace::facts::TaskKind;
use probe_common::record::state::INITIAL;

impl Graph {
    pub(crate) fn spawn(&mut self, at: &At, task: &TaskRef, state: State, way: SpawnWay, completion: Completion) {
        let Some(id) = task.id.filter(|&id| self.index_of(id).is_none() && !self.retention.has_left(id)) else {
            return;
        };
        let passed_over = self.thread(at.tid).passed_over == Some(id);
        if way == SpawnWay::Local && (passed_over || state.0 != INITIAL) {
            // An earlier task, on its way back into its queue.
            self.find_or_add(task, Phase::Ready);
            return;
        }
        let parent = self.parent(at.tid, completion);
        let child = self.born(at, id, task.vtable, way, parent);
        self.undo.entered(child);
    }

    /// A task's spawn, where it is known who spawned it.
    pub(crate) fn spawn_under(&mut self, at: &At, task: &TaskRef, state: State, way: SpawnWay, parent: Parent) {
        let is_new = way != SpawnWay::Local || state.0 == INITIAL;
        let Some(id) = task.id.filter(|&id| is_new && !self.retention.has_left(id)) else { return };
        let child = match self.index_of(id) {
            None => self.born(at, id, task.vtable, way, parent),
            // It was sampled on another CPU before its spawn was reported.
            Some(index) if self.tasks[index].born().is_none() => {
                self.learn_birth(at, index, task.vtable, way, parent);
                index
            }
            Some(_) => return,
        };
        // Whom its parent served then is known by events that a gap may have swallowed.
        self.undo.inherited(self.clock.now, child);
    }

    fn learn_birth(&mut self, at: &At, index: TaskIndex, vtable: u64, way: SpawnWay, parent: Parent) {
        let (kind, runtime) = (self.config.kind(vtable), self.config.is_runtime(vtable));
        let kind = if kind == TaskKind::Unknown { kind_by(way) } else { kind };
        let (birth, inherited) = (Birth { time_ns: self.clock.now, thread: at.tid }, self.inherited_from(parent));
        // Its spawn is reported now: no gap has swallowed it.
        self.undo.saw_spawn(index);
        let task = &mut self.tasks[index];
        (task.vtable, task.kind, task.runtime) = (vtable, kind, runtime);
        task.set_parent(parent);
        task.set_born(birth);
        task.inherited = inherited;
        self.totals.spawns += 1;
    }

    fn born(&mut self, at: &At, id: TaskId, vtable: u64, way: SpawnWay, parent: Parent) -> TaskIndex {
        let inherited = self.inherited_from(parent);
        let child = self.add(id, vtable, Phase::Ready, parent);
        if let Parent::Task(parent) = parent
            && let Some(parent) = self.index_of(parent)
        {
            self.spawned_while_accepting(parent, child);
            self.note_stream_task(at.tid, parent, child);
        }
        let child_task = &mut self.tasks[child];
        child_task.inherited = inherited;
        child_task.set_born(Birth { time_ns: self.clock.now, thread: at.tid });
        if child_task.kind == TaskKind::Unknown {
            child_task.kind = kind_by(way);
        }
        self.totals.spawns += 1;
        child
    }

    fn parent(&mut self, tid: u32, completion: Completion) -> Parent {
        match self.scheduler.spawner(tid, self.clock.epoch, completion) {
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
