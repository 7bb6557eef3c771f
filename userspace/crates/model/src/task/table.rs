//! The table of tasks: each at an index of its own, which stays the same, and is never given to another.
//!
//! Whoever remembers the index of a task that has left finds one there that is over, and has no id that a
//! task can have: what is done to it is done to nobody.

use std::ops::{Index, IndexMut};

use crate::ids::TaskIndex;
use crate::task::Task;
use crate::task::id_index::IdIndex;
use crate::task::lifecycle::{How, Parent, Phase, Why};
use asyncscope_trace::event::TaskId;

/// Slots that are given up together.
const BLOCK: usize = 16;
/// Blocks that are found by way of one chunk.
const BLOCKS: usize = 16;
const CHUNK: usize = BLOCK * BLOCKS;

/// All tasks, in the order in which they were first seen.
#[derive(Debug)]
pub struct Tasks {
    /// `None` where all have left.
    chunks: Vec<Option<Box<Chunk>>>,
    /// Their number, those that have left among them.
    len: usize,
    index: IdIndex,
    /// Stands in for those that have left.
    nobody: Task,
}

/// Blocks, each `None` before and after it has tasks.
#[derive(Debug, Default)]
struct Chunk {
    blocks: [Option<Box<Block>>; BLOCKS],
    here: usize,
}

#[derive(Debug)]
struct Block {
    tasks: [Option<Task>; BLOCK],
    here: usize,
}

impl Default for Tasks {
    fn default() -> Self {
        let mut nobody = Task::new(TaskId(0), 0, Phase::Waiting, Parent::Unknown(Why::Unseen), 0);
        nobody.finish(How::Unknown, 0);
        Self { chunks: Vec::new(), len: 0, index: IdIndex::default(), nobody }
    }
}

impl Tasks {
    /// Returns how many there are, those that have left among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if there was never one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the task at this index, if it has not left.
    #[must_use]
    pub fn get(&self, index: TaskIndex) -> Option<&Task> {
        at(&self.chunks, index)
    }

    /// Returns the index of the task with this id, if it has not left.
    #[must_use]
    pub fn index_of(&self, id: TaskId) -> Option<TaskIndex> {
        self.index.find(id, |index| self.get(index).map(|task| task.id))
    }

    /// Iterates over those that have not left, each with its index.
    pub fn iter(&self) -> impl Iterator<Item = (TaskIndex, &Task)> {
        let chunks = (0..).step_by(CHUNK).zip(&self.chunks).filter_map(|(first, chunk)| Some((first, chunk.as_ref()?)));
        let blocks = chunks.flat_map(|(first, chunk)| (first..).step_by(BLOCK).zip(&chunk.blocks));
        let slots = blocks.filter_map(|(first, block)| Some((first, block.as_ref()?)));
        let slots = slots.flat_map(|(first, block)| (first..).zip(&block.tasks));
        slots.filter_map(|(slot, task)| Some((TaskIndex::new(slot), task.as_ref()?)))
    }

    /// Iterates over those that have not left.
    pub fn values(&self) -> impl Iterator<Item = &Task> {
        let blocks = self.chunks.iter().flatten().flat_map(|chunk| &chunk.blocks).flatten();
        blocks.flat_map(|block| &block.tasks).flatten()
    }

    pub(crate) fn get_mut(&mut self, index: TaskIndex) -> Option<&mut Task> {
        at_mut(&mut self.chunks, index)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        let blocks = self.chunks.iter_mut().flatten().flat_map(|chunk| &mut chunk.blocks).flatten();
        blocks.flat_map(|block| &mut block.tasks).flatten()
    }

    /// Adds a task whose id is not there yet.
    pub(crate) fn push(&mut self, task: Task) {
        let index = TaskIndex::new(self.len);
        let slot = self.len;
        if slot.is_multiple_of(CHUNK) {
            self.chunks.push(Some(Box::default()));
        }
        let chunks = &self.chunks;
        self.index.insert(task.id, index, |index| at(chunks, index).map(|task| task.id));
        if let Some(Some(chunk)) = self.chunks.last_mut() {
            let fresh = || Box::new(Block { tasks: [const { None }; BLOCK], here: 0 });
            let block = chunk.blocks[slot % CHUNK / BLOCK].get_or_insert_with(fresh);
            block.tasks[slot % BLOCK] = Some(task);
            block.here += 1;
            chunk.here += 1;
        }
        self.len += 1;
    }

    /// Takes a task away and returns it.
    pub(crate) fn remove(&mut self, index: TaskIndex) -> Option<Task> {
        let number = index.get();
        let newest = number / CHUNK + 1 == self.chunks.len();
        let slot = self.chunks.get_mut(number / CHUNK)?;
        let chunk = slot.as_mut()?;
        let block = chunk.blocks[number % CHUNK / BLOCK].as_mut()?;
        let task = block.tasks[number % BLOCK].take()?;
        block.here -= 1;
        chunk.here -= 1;
        if block.here == 0 {
            chunk.blocks[number % CHUNK / BLOCK] = None;
        }
        if chunk.here == 0 && !newest {
            *slot = None;
        }
        self.index.remove(task.id, index);
        Some(task)
    }
}

fn at(chunks: &[Option<Box<Chunk>>], index: TaskIndex) -> Option<&Task> {
    let slot = index.get();
    let chunk = chunks.get(slot / CHUNK)?.as_ref()?;
    chunk.blocks[slot % CHUNK / BLOCK].as_ref()?.tasks[slot % BLOCK].as_ref()
}

fn at_mut(chunks: &mut [Option<Box<Chunk>>], index: TaskIndex) -> Option<&mut Task> {
    let slot = index.get();
    let chunk = chunks.get_mut(slot / CHUNK)?.as_mut()?;
    chunk.blocks[slot % CHUNK / BLOCK].as_mut()?.tasks[slot % BLOCK].as_mut()
}

impl Index<TaskIndex> for Tasks {
    type Output = Task;

    fn index(&self, index: TaskIndex) -> &Task {
        self.get(index).unwrap_or(&self.nobody)
    }
}

impl IndexMut<TaskIndex> for Tasks {
    fn index_mut(&mut self, index: TaskIndex) -> &mut Task {
        at_mut(&mut self.chunks, index).unwrap_or(&mut self.nobody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: usize) -> TaskIndex {
        TaskIndex::new(index)
    }

    fn with(count: u64) -> Tasks {
        let mut tasks = Tasks::default();
        let task = |id| Task::new(TaskId(id), 0, Phase::Ready, Parent::Unknown(Why::Unseen), 0);
        (1..=count).for_each(|id| tasks.push(task(id)));
        tasks
    }

    #[test]
    fn indices_stay_and_are_not_given_again() {
        let mut tasks = with(1000);
        for place in (0..1000).filter(|place| place % 3 != 0) {
            assert_eq!(tasks.remove(at(place)).map(|task| task.id), Some(TaskId(place as u64 + 1)));
            assert!(tasks.remove(at(place)).is_none());
        }
        assert_eq!((tasks.len(), tasks.iter().count()), (1000, 334));
        assert!(tasks.iter().all(|(index, task)| task.id.0 == index.get() as u64 + 1));
        assert_eq!((tasks[at(999)].id, tasks.get(at(998))), (TaskId(1000), None));
        tasks.push(Task::new(TaskId(7000), 0, Phase::Ready, Parent::Unknown(Why::Unseen), 0));
        assert_eq!(tasks.iter().last().map(|(index, task)| (index, task.id)), Some((at(1000), TaskId(7000))));
        assert_eq!(tasks[at(1000)].id, TaskId(7000));
    }

    #[test]
    fn one_that_has_left_is_nobody() {
        let mut tasks = with(3);
        drop(tasks.remove(at(1)));
        tasks[at(1)].polls = 7;
        tasks[at(5000)].polls = 8;
        assert_eq!((tasks[at(1)].id, tasks[at(1)].has_ended()), (TaskId(0), true));
        assert!(tasks.values().all(|task| task.polls == 0));
    }

    #[test]
    fn room_is_given_up() {
        let mut tasks = with(CHUNK as u64 * 10);
        (0..CHUNK * 10).for_each(|place| drop(tasks.remove(at(place))));
        assert_eq!(tasks.chunks.iter().flatten().count(), 1);
        tasks.push(Task::new(TaskId(1), 0, Phase::Ready, Parent::Unknown(Why::Unseen), 0));
        assert_eq!(tasks.iter().count(), 1);
    }
}
