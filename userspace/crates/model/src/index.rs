//! From a task's id to its place: each place once, and no id, which the task at the place has itself.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use asyncscope_trace::event::TaskId;

/// The places of tasks by their ids. Whoever asks says which id the task at a place has.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: HashTable<Place>,
    /// Ids come from the target: which of them collide must not be known in advance.
    hasher: DefaultHashBuilder,
}

/// A place in six bytes. So many places are not filled in years, however fast tasks are spawned.
#[derive(Clone, Copy, Debug)]
struct Place([u8; 6]);

impl Place {
    fn new(place: usize) -> Self {
        let [a, b, c, d, e, f, ..] = (place as u64).to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    fn get(self) -> usize {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0]) as usize
    }
}

impl Index {
    pub(super) fn find(&self, id: TaskId, id_at: impl Fn(usize) -> Option<TaskId>) -> Option<usize> {
        let found = self.places.find(self.hasher.hash_one(id), |place| id_at(place.get()) == Some(id));
        found.map(|place| place.get())
    }

    /// Adds a task whose id is not there yet. Its own place need not be filled.
    pub(super) fn insert(&mut self, id: TaskId, place: usize, id_at: impl Fn(usize) -> Option<TaskId>) {
        let Self { places, hasher } = self;
        let hash = |place: &Place| id_at(place.get()).map_or(0, |id| hasher.hash_one(id));
        places.insert_unique(hasher.hash_one(id), Place::new(place), hash);
    }

    pub(super) fn remove(&mut self, id: TaskId, place: usize) {
        if let Ok(entry) = self.places.find_entry(self.hasher.hash_one(id), |other| other.get() == place) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_is_what_it_was() {
        for place in [0, 1, 255, 256, 0x1234_5678_9abc, (1 << 48) - 1] {
            assert_eq!(Place::new(place).get(), place);
        }
    }
}
