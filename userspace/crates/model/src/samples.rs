//! Samples of CPU time: on which task, at which stack.
//!
//! Which task a thread runs is what tokio's `CONTEXT` reports, read together with the registers: no event lost
//! elsewhere puts it in doubt. A task from before the attach is known by its id alone, until its header is found. The stack
//! does not show its type: in the first and last instructions of a poll, tokio's word is still, or again, that
//! of the task around it, which is a worker's.

use std::collections::BTreeMap;

use crate::Graph;
use crate::ids::{RequestId, TaskIndex};
use crate::task::Task;
use crate::task::lifecycle::{Parent, Phase, Why};
use asyncscope_trace::event::{At, Ended, Running, SpawnWay, State, TaskId, TaskRef};
use asyncscope_trace::facts::Function;

/// Distinct combinations of task, thread and stack that are counted one by one.
const KEYS_MAX: usize = 1 << 20;
/// Stacks, and addresses, that are kept with what was reported of them.
const STACKS_MAX: usize = 1 << 18;
const CODE_MAX: usize = 1 << 18;

/// Samples, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    counts: BTreeMap<SampleKey, u64>,
    stacks: BTreeMap<u64, Stack>,
    code: BTreeMap<u64, Vec<Function>>,
    /// All samples.
    pub total: u64,
    /// Those of tasks of another type than the poll that their stack is in, as at its beginning and end.
    pub contradictions: u64,
    /// Those whose stack is not kept, because there were too many.
    pub not_kept: u64,
}

/// The place of samples that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleKey {
    /// The task, as tokio's `CONTEXT` reports.
    pub running: Running,
    /// The one request that the task served at that time, if it served one.
    pub serves: Option<RequestId>,
    /// The thread.
    pub thread: u32,
    /// The stack: a key of [`Samples::stack`].
    pub stack: u64,
    /// `true` if the thread was in the kernel.
    pub in_kernel: bool,
}

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// The place at which unwinding ended.
    pub ended: Ended,
    /// Addresses in the target's memory, the innermost first.
    pub frames: Vec<u64>,
}

impl Samples {
    /// Iterates over where samples fell, and how many.
    pub fn counts(&self) -> impl Iterator<Item = (SampleKey, u64)> + '_ {
        self.counts.iter().map(|(key, count)| (*key, *count))
    }

    /// Returns a stack that was reported.
    #[must_use]
    pub fn stack(&self, stack: u64) -> Option<&Stack> {
        self.stacks.get(&stack)
    }

    /// Returns the functions at an address: the innermost of those that are inlined there first.
    #[must_use]
    pub fn code(&self, address: u64) -> &[Function] {
        self.code.get(&address).map_or(&[], Vec::as_slice)
    }
}

impl Graph {
    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The task types whose poll function a stack ends in.
    #[must_use]
    pub fn polled_by(&self, stack: u64) -> &[u64] {
        let stack = self.samples.stack(stack).filter(|stack| stack.ended == Ended::Poll);
        stack.and_then(|stack| stack.frames.last()).map_or(&[], |&address| self.config.polled_at(address))
    }

    pub(crate) fn sample(&mut self, at: &At, running: Running, stack: u64, in_kernel: bool) {
        self.samples.total += 1;
        if let Running::Task(id) = running
            && self.contradicts(id, stack)
        {
            self.samples.contradictions += 1;
        }
        let mut key = SampleKey { running, serves: self.served_by(running), thread: at.tid, stack, in_kernel };
        if self.samples.counts.len() >= KEYS_MAX && !self.samples.counts.contains_key(&key) {
            key.stack = 0;
        }
        let is_kept = key.stack == stack && self.samples.stacks.contains_key(&stack);
        self.samples.not_kept += u64::from(stack != 0 && !is_kept);
        *self.samples.counts.entry(key).or_default() += 1;
    }

    pub(crate) fn add_stack(&mut self, stack: u64, ended: Ended, frames: &[u64]) {
        if self.samples.stacks.len() < STACKS_MAX {
            self.samples.stacks.insert(stack, Stack { ended, frames: frames.to_vec() });
        }
    }

    pub(crate) fn add_code(&mut self, address: u64, functions: &[Function]) {
        if self.samples.code.len() < CODE_MAX {
            self.samples.code.insert(address, functions.to_vec());
        }
    }

    pub(crate) fn spawned_by(&mut self, at: &At, task: &TaskRef, state: State, way: SpawnWay, by: Running) {
        let parent = match by {
            Running::Task(id) => self.by_id(id).map_or(Parent::Root(at.tid), |index| match self.tasks[index].runtime {
                true => Parent::Root(at.tid),
                false => Parent::Task(id),
            }),
            Running::Nothing => Parent::Root(at.tid),
            Running::Unknown => Parent::Unknown(Why::Unseen),
        };
        self.spawn_under(at, task, state, way, parent);
    }

    /// The task that a thread runs as tokio's `CONTEXT` reports, unless it is the runtime's own.
    pub(crate) fn named(&mut self, running: Running) -> Option<TaskIndex> {
        let Running::Task(id) = running else { return None };
        self.by_id(id).filter(|&index| !self.tasks[index].runtime)
    }

    /// The task with this id; one not seen before has no type yet.
    fn by_id(&mut self, id: TaskId) -> Option<TaskIndex> {
        if let Some(index) = self.index_of(id) {
            return Some(index);
        }
        if self.retention.has_left(id) {
            return None;
        }
        let why = self.why_not_spawned(0);
        let index = self.add(id, 0, Phase::Waiting, Parent::Unknown(why));
        if why == Why::BeforeAttach {
            // A gap that is reported later may have swallowed its spawn.
            self.undo.entered(index);
        }
        Some(index)
    }

    /// The type of a task that entered the graph without its spawn.
    pub(crate) fn learn_type(&mut self, task: &TaskRef) {
        let Some(index) = task.id.and_then(|id| self.by_id(id)).filter(|&index| self.tasks[index].vtable == 0) else {
            return;
        };
        let (kind, runtime) = (self.config.kind(task.vtable), self.config.is_runtime(task.vtable));
        let Task { vtable: of, kind: its_kind, runtime: its_runtime, .. } = &mut self.tasks[index];
        (*of, *its_kind, *its_runtime) = (task.vtable, kind, runtime);
    }

    /// Returns `true` if the task is of another type than the poll function that the stack ends in.
    fn contradicts(&mut self, id: TaskId, stack: u64) -> bool {
        let known = self.by_id(id).map_or(0, |index| self.tasks[index].vtable);
        let polled = self.polled_by(stack);
        known != 0 && !polled.is_empty() && !polled.contains(&known)
    }
}
