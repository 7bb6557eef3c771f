//! Samples of CPU time: on which task, at which stack.
//!
//! Which task a thread runs is tokio's own word, read together with the registers: no event lost elsewhere
//! puts it in doubt. A task of before the attach is known by its id alone, until its header is found. The stack
//! does not tell its type: in the first and last instructions of a poll, tokio's word is still, or again, that
//! of the task around it, which is a worker's.

use std::collections::BTreeMap;

use super::life::{Parent, Phase, Why};
use super::request::RequestId;
use super::{Graph, Task};
use asyncscope_trace::event::{At, Ended, Running, SpawnWay, State, TaskId, TaskRef};
use asyncscope_trace::facts::Function;

/// Distinct combinations of task, thread and stack that are counted one by one.
const PLACES_MAX: usize = 1 << 20;
/// Stacks, and addresses, of which it is kept what was told of them.
const STACKS_MAX: usize = 1 << 18;
const CODE_MAX: usize = 1 << 18;

/// What is sampled, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    counts: BTreeMap<Place, u64>,
    stacks: BTreeMap<u64, Stack>,
    code: BTreeMap<u64, Vec<Function>>,
    /// All samples.
    pub total: u64,
    /// Those of tasks of another type than the poll that their stack is in, as at its beginning and end.
    pub contradictions: u64,
    /// Those whose stack is not kept, because there were too many.
    pub not_kept: u64,
}

/// Where samples fell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The task, by tokio's own word.
    pub running: Running,
    /// The one request that the task served at that time, if it served one.
    pub serves: Option<RequestId>,
    /// The thread.
    pub thread: u32,
    /// The stack: a key of [`Samples::stack`].
    pub stack: u64,
    /// Whether the thread was in the kernel.
    pub in_kernel: bool,
}

/// A stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// How far it was unwound.
    pub ended: Ended,
    /// Addresses in the target's memory, the innermost first.
    pub frames: Vec<u64>,
}

impl Samples {
    /// Where samples fell, and how many.
    pub fn places(&self) -> impl Iterator<Item = (Place, u64)> + '_ {
        self.counts.iter().map(|(place, count)| (*place, *count))
    }

    /// A stack that was told.
    #[must_use]
    pub fn stack(&self, stack: u64) -> Option<&Stack> {
        self.stacks.get(&stack)
    }

    /// The functions at an address: the innermost of those that are inlined there first.
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
        stack.and_then(|stack| stack.frames.last()).map_or(&[], |&address| self.setup.polled_at(address))
    }

    pub(super) fn sample(&mut self, at: &At, running: Running, stack: u64, in_kernel: bool) {
        self.samples.total += 1;
        if let Running::Task(id) = running
            && self.contradicts(id, stack)
        {
            self.samples.contradictions += 1;
        }
        let mut place = Place { running, serves: self.served_by(running), thread: at.tid, stack, in_kernel };
        if self.samples.counts.len() >= PLACES_MAX && !self.samples.counts.contains_key(&place) {
            place.stack = 0;
        }
        let is_kept = place.stack == stack && self.samples.stacks.contains_key(&stack);
        self.samples.not_kept += u64::from(stack != 0 && !is_kept);
        *self.samples.counts.entry(place).or_default() += 1;
    }

    pub(super) fn told_stack(&mut self, stack: u64, ended: Ended, frames: &[u64]) {
        if self.samples.stacks.len() < STACKS_MAX {
            self.samples.stacks.insert(stack, Stack { ended, frames: frames.to_vec() });
        }
    }

    pub(super) fn told_code(&mut self, address: u64, functions: &[Function]) {
        if self.samples.code.len() < CODE_MAX {
            self.samples.code.insert(address, functions.to_vec());
        }
    }

    pub(super) fn spawned_by(&mut self, at: &At, task: &TaskRef, state: State, way: SpawnWay, by: Running) {
        let parent = match by {
            Running::Task(id) => self.by_id(id).map_or(Parent::Root(at.tid), |place| match self.tasks[place].runtime {
                true => Parent::Root(at.tid),
                false => Parent::Task(id),
            }),
            Running::Nothing => Parent::Root(at.tid),
            Running::Unknown => Parent::Unknown(Why::Unseen),
        };
        self.spawn_under(at, task, state, way, parent);
    }

    /// The task that a thread runs by tokio's own word, unless it is the runtime's own.
    pub(super) fn named(&mut self, running: Running) -> Option<usize> {
        let Running::Task(id) = running else { return None };
        self.by_id(id).filter(|&place| !self.tasks[place].runtime)
    }

    /// The task with this id; one not seen before has no type yet.
    fn by_id(&mut self, id: TaskId) -> Option<usize> {
        if let Some(place) = self.index_of(id) {
            return Some(place);
        }
        if self.leaving.has_left(id) {
            return None;
        }
        let why = self.why_not_spawned(0);
        let place = self.add(id, 0, Phase::Waiting, Parent::Unknown(why));
        if why == Why::BeforeAttach {
            // A gap that is told of later may have swallowed its spawn.
            self.fresh.spawns.push(place);
        }
        Some(place)
    }

    /// The type of a task that entered the graph without its spawn.
    pub(super) fn told_type(&mut self, task: &TaskRef) {
        let Some(place) = task.id.and_then(|id| self.by_id(id)).filter(|&place| self.tasks[place].vtable == 0) else {
            return;
        };
        let (kind, runtime) = (self.setup.kind(task.vtable), self.setup.is_runtime(task.vtable));
        let Task { vtable: of, kind: its_kind, runtime: its_runtime, .. } = &mut self.tasks[place];
        (*of, *its_kind, *its_runtime) = (task.vtable, kind, runtime);
    }

    /// Whether the task is of another type than the poll function that the stack ends in.
    fn contradicts(&mut self, id: TaskId, stack: u64) -> bool {
        let known = self.by_id(id).map_or(0, |place| self.tasks[place].vtable);
        let polled = self.polled_by(stack);
        known != 0 && !polled.is_empty() && !polled.contains(&known)
    }
}
