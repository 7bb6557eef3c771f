//! How many claims of a kind there are, and how many of them are right.

use std::fmt;

/// Claims of one kind, against what was lived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// The number that was lived.
    pub lived: usize,
    /// Right claims.
    pub right: usize,
    /// Wrong claims, each a sentence.
    pub wrong: Vec<String>,
    /// All that was lived and nothing claims, each a sentence.
    pub missed: Vec<String>,
}

impl Score {
    /// Adds a claim's judgement.
    pub(super) fn judge(&mut self, judgement: Result<(), String>) {
        match judgement {
            Ok(()) => self.right += 1,
            Err(wrong) => self.wrong.push(wrong),
        }
    }

    /// Returns whether at least `percent` of what was lived is rightly claimed. Of nothing, everything is.
    #[must_use]
    pub fn recalls(&self, percent: usize) -> bool {
        let found = self.lived - self.missed.len();
        found * 100 >= self.lived * percent
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lived, right, wrong, missed } = self;
        let found = lived - missed.len();
        let percent = if *lived == 0 { 100.0 } else { found as f64 * 100.0 / *lived as f64 };
        write!(f, "{lived} lived, {found} claimed ({percent:.2} %), {right} claims right, {} wrong", wrong.len())
    }
}
