//! From a task's id to its index: each index once, and no id, which the task there has itself.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::ids::TaskIndex;
use asyncscope_trace::event::TaskId;

/// The indices of tasks by their ids. Whoever asks says which id the task at an index has.
#[derive(Debug, Default)]
pub(crate) struct IdIndex {
    indices: HashTable<PackedIndex>,
    /// Ids come from the target: which of them collide must not be known in advance.
    hasher: DefaultHashBuilder,
}

/// An index in six bytes. This many are not filled in years, however fast tasks are spawned.
#[derive(Clone, Copy, Debug)]
struct PackedIndex([u8; 6]);

impl PackedIndex {
    fn new(index: TaskIndex) -> Self {
        let [bytes @ .., _, _] = (index.get() as u64).to_le_bytes();
        Self(bytes)
    }

    fn get(self) -> TaskIndex {
        let mut bytes = [0; 8];
        bytes[..6].copy_from_slice(&self.0);
        TaskIndex::new(u64::from_le_bytes(bytes) as usize)
    }
}

impl IdIndex {
    pub(crate) fn find(&self, id: TaskId, id_at: impl Fn(TaskIndex) -> Option<TaskId>) -> Option<TaskIndex> {
        let found = self.indices.find(self.hasher.hash_one(id), |index| id_at(index.get()) == Some(id));
        found.map(|index| index.get())
    }

    /// Adds a task whose id is not there yet. Its own slot need not be filled.
    pub(crate) fn insert(&mut self, id: TaskId, index: TaskIndex, id_at: impl Fn(TaskIndex) -> Option<TaskId>) {
        let Self { indices, hasher } = self;
        let hash = |index: &PackedIndex| id_at(index.get()).map_or(0, |id| hasher.hash_one(id));
        indices.insert_unique(hasher.hash_one(id), PackedIndex::new(index), hash);
    }

    pub(crate) fn remove(&mut self, id: TaskId, index: TaskIndex) {
        if let Ok(entry) = self.indices.find_entry(self.hasher.hash_one(id), |other| other.get() == index) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PackedIndex, TaskIndex};

    #[test]
    fn an_index_is_what_it_was() {
        for index in [0, 1, 255, 256, 0x1234_5678_9abc, (1 << 48) - 1].map(TaskIndex::new) {
            assert_eq!(PackedIndex::new(index).get(), index);
        }
    }
}
