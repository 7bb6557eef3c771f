//! Where tasks are kept: each at a place of its own, which stays the same, and is never given to another.
//!
//! Whoever remembers the place of a task that has left finds one there that is over, and has no id that a
//! task can have: what is done to it is done to nobody.

use std::ops::{Index, IndexMut};

use super::task::{End, How, Parent, Phase, Task, Why};
use crate::event::TaskId;

/// Places that are given up together.
const CHUNK: usize = 256;

/// All tasks, in the order in which they were first seen.
#[derive(Debug)]
pub struct Tasks {
    /// `None` where all have left.
    chunks: Vec<Option<Box<Chunk>>>,
    places: usize,
    /// Stands in for those that have left.
    nobody: Task,
}

#[derive(Debug)]
struct Chunk {
    tasks: [Option<Box<Task>>; CHUNK],
    here: usize,
}

impl Default for Tasks {
    fn default() -> Self {
        let mut nobody = Task::new(TaskId(0), 0, Phase::Waiting, Parent::Unknown(Why::Unseen), 0);
        nobody.end = Some(End { time_ns: 0, how: How::Unknown });
        Self { chunks: Vec::new(), places: 0, nobody }
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
        self.chunks.get(place / CHUNK)?.as_ref()?.tasks[place % CHUNK].as_deref()
    }

    /// Those that have not left.
    pub fn iter(&self) -> impl Iterator<Item = &Task> {
        self.chunks.iter().flatten().flat_map(|chunk| &chunk.tasks).flatten().map(|task| &**task)
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Task> {
        self.chunks.get_mut(place / CHUNK)?.as_mut()?.tasks[place % CHUNK].as_deref_mut()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.chunks.iter_mut().flatten().flat_map(|chunk| &mut chunk.tasks).flatten().map(|task| &mut **task)
    }

    pub(super) fn push(&mut self, task: Task) {
        if self.places.is_multiple_of(CHUNK) {
            self.chunks.push(Some(Box::new(Chunk { tasks: [const { None }; CHUNK], here: 0 })));
        }
        if let Some(Some(chunk)) = self.chunks.last_mut() {
            chunk.tasks[self.places % CHUNK] = Some(Box::new(task));
            chunk.here += 1;
        }
        self.places += 1;
    }

    /// Takes a task away.
    pub(super) fn remove(&mut self, place: usize) -> Option<Task> {
        let newest = place / CHUNK + 1 == self.chunks.len();
        let slot = self.chunks.get_mut(place / CHUNK)?;
        let chunk = slot.as_mut()?;
        let task = chunk.tasks[place % CHUNK].take()?;
        chunk.here -= 1;
        if chunk.here == 0 && !newest {
            *slot = None;
        }
        Some(*task)
    }
}

impl Index<usize> for Tasks {
    type Output = Task;

    fn index(&self, place: usize) -> &Task {
        self.get(place).unwrap_or(&self.nobody)
    }
}

impl IndexMut<usize> for Tasks {
    fn index_mut(&mut self, place: usize) -> &mut Task {
        let here = self.get(place).is_some();
        let nobody = &mut self.nobody;
        let chunk = self.chunks.get_mut(place / CHUNK).and_then(Option::as_mut).filter(|_| here);
        let task = chunk.and_then(|chunk| chunk.tasks[place % CHUNK].as_deref_mut());
        task.unwrap_or(nobody)
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
        assert_eq!((tasks[1].id, tasks[1].end.is_some()), (TaskId(0), true));
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
