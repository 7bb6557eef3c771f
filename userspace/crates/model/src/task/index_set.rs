//! Sets of tasks, of which mostly all from one to another are meant.

use std::ops::Range;

use crate::ids::TaskIndex;

/// Indices in ascending order, kept as runs.
#[derive(Debug, Default)]
pub(crate) struct IndexSet {
    /// None is empty, and no two touch.
    runs: Vec<Range<usize>>,
    len: usize,
}

impl IndexSet {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn last(&self) -> Option<TaskIndex> {
        self.runs.last().map(|run| TaskIndex::new(run.end - 1))
    }

    /// Adds an index after all others.
    pub(crate) fn push(&mut self, index: TaskIndex) {
        let index = index.get();
        self.len += 1;
        match self.runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => self.runs.push(index..index + 1),
        }
    }

    pub(crate) fn pop(&mut self) {
        let Some(run) = self.runs.last_mut() else { return };
        self.len -= 1;
        run.end -= 1;
        if run.start == run.end {
            self.runs.pop();
        }
    }

    /// Takes one index out, if it is there.
    pub(crate) fn remove(&mut self, index: TaskIndex) {
        let index = index.get();
        let at = self.runs.partition_point(|run| run.end <= index);
        let Some(run) = self.runs.get_mut(at).filter(|run| run.contains(&index)) else { return };
        self.len -= 1;
        let after = index + 1..run.end;
        run.end = index;
        let halves = [run.clone(), after].into_iter().filter(|half| half.start < half.end);
        self.runs.splice(at..=at, halves);
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(TaskIndex) -> bool) {
        let before = std::mem::take(self);
        for index in before.runs.into_iter().flatten().map(TaskIndex::new).filter(|&index| stays(index)) {
            self.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{IndexSet, TaskIndex};

    proptest! {
        #[test]
        fn are_what_a_list_is(ops in prop::collection::vec((0..6u8, 0..40usize), 0..200)) {
            let (mut set, mut list) = (IndexSet::default(), Vec::<usize>::new());
            for (op, with) in ops {
                match op {
                    0..3 => {
                        let next = list.last().map_or(0, |last| last + 1) + usize::from(with > 30);
                        set.push(TaskIndex::new(next));
                        list.push(next);
                    }
                    3 => {
                        set.pop();
                        list.pop();
                    }
                    4 => {
                        set.remove(TaskIndex::new(with));
                        list.retain(|index| *index != with);
                    }
                    _ => {
                        set.retain(|index| index.get() % 7 != with % 7);
                        list.retain(|index| index % 7 != with % 7);
                    }
                }
                let kept: Vec<usize> = set.runs.iter().cloned().flatten().collect();
                prop_assert_eq!((set.len(), set.last().map(TaskIndex::get), &kept), (list.len(), list.last().copied(), &list));
                prop_assert!(set.runs.windows(2).all(|two| two[0].end < two[1].start));
            }
        }
    }
}
