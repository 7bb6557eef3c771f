//! Where tasks are kept: each at a place of its own, which stays the same, and is never given to another.
//!
//! Whoever remembers the place of a task that has left finds one there that is over, and has no id that a
//! task can have: what is done to it is done to nobody.

use std::ops::{Index, IndexMut};

use super::index::Index as ById;
use super::life::{How, Parent, Phase, Why};
use super::task::Task;
use asyncscope_trace::event::TaskId;

/// Places that are given up together.
const BLOCK: usize = 16;
/// Blocks that are found by way of one chunk.
const BLOCKS: usize = 16;
const CHUNK: usize = BLOCK * BLOCKS;

/// All tasks, in the order in which they were first seen.
#[derive(Debug)]
pub struct Tasks {
    /// `None` where all have left.
    chunks: Vec<Option<Box<Chunk>>>,
    places: usize,
    index: ById,
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
        Self { chunks: Vec::new(), places: 0, index: ById::default(), nobody }
    }
}

impl Tasks {
    /// How many there are, those that have left among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places
    }

    /// Whether there was never one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places == 0
    }

    /// The task at this place, if it has not left.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&Task> {
        at(&self.chunks, place)
    }

    /// The place of the task with this id, if it has not left.
    #[must_use]
    pub fn place_of(&self, id: TaskId) -> Option<usize> {
        self.index.find(id, |place| self.get(place).map(|task| task.id))
    }

    /// Those that have not left.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        let blocks = self.chunks.iter().flatten().flat_map(|chunk| &chunk.blocks).flatten();
        blocks.flat_map(|block| &block.tasks).flatten()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Task> {
        at_mut(&mut self.chunks, place)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        let blocks = self.chunks.iter_mut().flatten().flat_map(|chunk| &mut chunk.blocks).flatten();
        blocks.flat_map(|block| &mut block.tasks).flatten()
    }

    /// Adds a task whose id is not there yet.
    pub(super) fn push(&mut self, task: Task) {
        let place = self.places;
        if place.is_multiple_of(CHUNK) {
            self.chunks.push(Some(Box::default()));
        }
        let chunks = &self.chunks;
        self.index.insert(task.id, place, |place| at(chunks, place).map(|task| task.id));
        if let Some(Some(chunk)) = self.chunks.last_mut() {
            let fresh = || Box::new(Block { tasks: [const { None }; BLOCK], here: 0 });
            let block = chunk.blocks[place % CHUNK / BLOCK].get_or_insert_with(fresh);
            block.tasks[place % BLOCK] = Some(task);
            block.here += 1;
            chunk.here += 1;
        }
        self.places += 1;
    }

    /// Takes a task away.
    pub(super) fn remove(&mut self, place: usize) -> Option<Task> {
        let newest = place / CHUNK + 1 == self.chunks.len();
        let slot = self.chunks.get_mut(place / CHUNK)?;
        let chunk = slot.as_mut()?;
        let block = chunk.blocks[place % CHUNK / BLOCK].as_mut()?;
        let task = block.tasks[place % BLOCK].take()?;
        block.here -= 1;
        chunk.here -= 1;
        if block.here == 0 {
            chunk.blocks[place % CHUNK / BLOCK] = None;
        }
        if chunk.here == 0 && !newest {
            *slot = None;
        }
        self.index.remove(task.id, place);
        Some(task)
    }
}

fn at(chunks: &[Option<Box<Chunk>>], place: usize) -> Option<&Task> {
    let chunk = chunks.get(place / CHUNK)?.as_ref()?;
    chunk.blocks[place % CHUNK / BLOCK].as_ref()?.tasks[place % BLOCK].as_ref()
}

fn at_mut(chunks: &mut [Option<Box<Chunk>>], place: usize) -> Option<&mut Task> {
    let chunk = chunks.get_mut(place / CHUNK)?.as_mut()?;
    chunk.blocks[place % CHUNK / BLOCK].as_mut()?.tasks[place % BLOCK].as_mut()
}

impl Index<usize> for Tasks {
    type Output = Task;

    fn index(&self, place: usize) -> &Task {
        self.get(place).unwrap_or(&self.nobody)
    }
}

impl IndexMut<usize> for Tasks {
    fn index_mut(&mut self, place: usize) -> &mut Task {
        at_mut(&mut self.chunks, place).unwrap_or(&mut self.nobody)
    }
}

impl<'a> IntoIterator for &'a Tasks {
    type Item = &'a Task;
    type IntoIter = Box<dyn Iterator<Item = &'a Task> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(count: u64) -> Tasks {
        let mut tasks = Tasks::default();
        let task = |id| Task::new(TaskId(id), 0, Phase::Ready, Parent::Unknown(Why::Unseen), 0);
        (1..=count).for_each(|id| tasks.push(task(id)));
        tasks
    }

    #[test]
    fn places_stay_and_are_not_given_again() {
        let mut tasks = with(1000);
        for place in (0..1000).filter(|place| place % 3 != 0) {
            assert_eq!(tasks.remove(place).map(|task| task.id), Some(TaskId(place as u64 + 1)));
            assert!(tasks.remove(place).is_none());
        }
        assert_eq!((tasks.len(), tasks.iter().count()), (1000, 334));
        assert_eq!((tasks[999].id, tasks.get(998)), (TaskId(1000), None));
        tasks.push(Task::new(TaskId(7000), 0, Phase::Ready, Parent::Unknown(Why::Unseen), 0));
        assert_eq!(tasks.iter().last().map(|task| task.id), Some(TaskId(7000)));
        assert_eq!(tasks[1000].id, TaskId(7000));
    }

    #[test]
    fn one_that_has_left_is_nobody() {
        let mut tasks = with(3);
        drop(tasks.remove(1));
        tasks[1].polls = 7;
        tasks[5000].polls = 8;
        assert_eq!((tasks[1].id, tasks[1].has_ended()), (TaskId(0), true));
        assert!(tasks.iter().all(|task| task.polls == 0));
    }

    #[test]
    fn room_is_given_up() {
        let mut tasks = with(CHUNK as u64 * 10);
        (0..CHUNK * 10).for_each(|place| drop(tasks.remove(place)));
        assert_eq!(tasks.chunks.iter().flatten().count(), 1);
        tasks.push(Task::new(TaskId(1), 0, Phase::Ready, Parent::Unknown(Why::Unseen), 0));
        assert_eq!(tasks.iter().count(), 1);
    }
}
