//! Places of tasks, of which mostly all from one to another are meant.

use std::ops::Range;

/// Places in ascending order, kept as runs.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// None is empty, and no two touch.
    runs: Vec<Range<usize>>,
    len: usize,
}

impl Places {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn last(&self) -> Option<usize> {
        self.runs.last().map(|run| run.end - 1)
    }

    /// Adds a place after all others.
    pub(super) fn push(&mut self, place: usize) {
        self.len += 1;
        match self.runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => self.runs.push(place..place + 1),
        }
    }

    pub(super) fn pop(&mut self) {
        let Some(run) = self.runs.last_mut() else { return };
        self.len -= 1;
        run.end -= 1;
        if run.start == run.end {
            self.runs.pop();
        }
    }

    /// Takes one place out, if it is there.
    pub(super) fn remove(&mut self, place: usize) {
        let at = self.runs.partition_point(|run| run.end <= place);
        let Some(run) = self.runs.get_mut(at).filter(|run| run.contains(&place)) else { return };
        self.len -= 1;
        let after = place + 1..run.end;
        run.end = place;
        let halves = [run.clone(), after].into_iter().filter(|half| half.start < half.end);
        self.runs.splice(at..=at, halves);
    }

    pub(super) fn retain(&mut self, stays: impl Fn(usize) -> bool) {
        let before = std::mem::take(self);
        for place in before.runs.into_iter().flatten().filter(|&place| stays(place)) {
            self.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Places;

    proptest! {
        #[test]
        fn are_what_a_list_is(ops in prop::collection::vec((0..6u8, 0..40usize), 0..200)) {
            let (mut places, mut list) = (Places::default(), Vec::<usize>::new());
            for (op, with) in ops {
                match op {
                    0..3 => {
                        let next = list.last().map_or(0, |last| last + 1) + usize::from(with > 30);
                        places.push(next);
                        list.push(next);
                    }
                    3 => {
                        places.pop();
                        list.pop();
                    }
                    4 => {
                        places.remove(with);
                        list.retain(|place| *place != with);
                    }
                    _ => {
                        places.retain(|place| place % 7 != with % 7);
                        list.retain(|place| place % 7 != with % 7);
                    }
                }
                let kept: Vec<usize> = places.runs.iter().cloned().flatten().collect();
                prop_assert_eq!((places.len(), places.last(), &kept), (list.len(), list.last().copied(), &list));
                prop_assert!(places.runs.windows(2).all(|two| two[0].end < two[1].start));
            }
        }
    }
}
