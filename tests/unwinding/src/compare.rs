//! Two stacks from the same bytes.

use std::collections::BTreeMap;

use asyncscope_trace::event::Ended;
use asyncscope_unwind::Unwound;
use serde::Serialize;

/// What came of all.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// Stacks of threads that polled a task.
    pub(crate) samples: u64,
    /// Those of them that asyncscope unwound to the poll function.
    reached: u64,
    /// Why the others end earlier.
    ended: BTreeMap<&'static str, u64>,
    /// Frames up to where asyncscope's stacks end.
    frames: u64,
    /// Stacks of which framehop has the same frames up to there.
    equal: u64,
    /// Of which it has fewer, and those are the same.
    framehop_shorter: u64,
    /// Of which it has others.
    different: u64,
    /// Of those that do not reach the poll function, those on which framehop goes on.
    framehop_longer: u64,
    /// A few of those that differ: the frames of both, the innermost first.
    examples: Vec<[Vec<u64>; 2]>,
}

const EXAMPLES: usize = 5;

impl Counts {
    pub(crate) fn add(&mut self, ours: &Unwound, theirs: &[u64]) {
        self.samples += 1;
        match ours.ended {
            Ended::Poll => self.reached += 1,
            ended => *self.ended.entry(ended.meaning()).or_default() += 1,
        }
        self.frames += ours.frames.len() as u64;
        if theirs.starts_with(&ours.frames) {
            self.equal += 1;
            self.framehop_longer += u64::from(ours.ended != Ended::Poll && theirs.len() > ours.frames.len());
            return;
        }
        match ours.frames.starts_with(theirs) {
            true => self.framehop_shorter += 1,
            false => self.different += 1,
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push([ours.frames.clone(), theirs.to_vec()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_compared_up_to_where_ours_end() {
        let mut counts = Counts::default();
        let ours = |ended| Unwound { frames: vec![1, 2], ended, ..Unwound::default() };
        counts.add(&ours(Ended::Poll), &[1, 2, 3]);
        counts.add(&ours(Ended::NoTable), &[1, 2, 3]);
        counts.add(&ours(Ended::Poll), &[1]);
        counts.add(&ours(Ended::Poll), &[1, 3]);
        let Counts { samples, reached, equal, framehop_shorter, different, framehop_longer, .. } = counts;
        assert_eq!((samples, reached, equal, framehop_longer), (4, 3, 2, 1));
        assert_eq!((framehop_shorter, different), (1, 1));
    }
}
