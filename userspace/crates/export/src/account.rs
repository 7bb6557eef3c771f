//! What became of the spans.

use std::collections::BTreeMap;
use std::fmt;

/// Reasons that are distinguished; a backend may word each of its refusals differently.
const MAX_REASONS: usize = 16;
/// A reason's length in characters.
const MAX_REASON: usize = 200;

/// The fate of all spans that were offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Accepted by the backend.
    pub accepted: u64,
    /// Not accepted by it, or never sent: why, and how many.
    pub lost: BTreeMap<String, u64>,
    /// Warnings of the backend while it accepted all.
    pub warnings: BTreeMap<String, u64>,
}

impl Account {
    /// Counts spans that will not reach the backend. Text from there is cut and made safe to show.
    pub(super) fn lose(&mut self, why: &str, spans: u64) {
        add(&mut self.lost, why, spans);
    }

    /// Counts what the backend said.
    pub(super) fn warn(&mut self, what: &str) {
        add(&mut self.warnings, what, 1);
    }

    /// Returns how many spans did not reach the backend.
    #[must_use]
    pub fn all_lost(&self) -> u64 {
        self.lost.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds what another one says.
    pub(super) fn and(mut self, other: &Self) -> Self {
        self.accepted = self.accepted.saturating_add(other.accepted);
        other.lost.iter().for_each(|(why, spans)| add(&mut self.lost, why, *spans));
        other.warnings.iter().for_each(|(what, times)| add(&mut self.warnings, what, *times));
        self
    }
}

fn add(counts: &mut BTreeMap<String, u64>, reason: &str, count: u64) {
    if count == 0 {
        return;
    }
    let shown: String = reason.chars().take(MAX_REASON).flat_map(char::escape_debug).collect();
    let known = counts.contains_key(&shown) || counts.len() < MAX_REASONS;
    let sum = counts.entry(if known { shown } else { "for other reasons".to_owned() }).or_default();
    *sum = sum.saturating_add(count);
}

/// `12 spans accepted`, and what was lost.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans accepted", self.accepted)?;
        self.lost.iter().try_for_each(|(why, spans)| write!(f, ", {spans} lost: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_bounded_and_safe_to_show() {
        let mut account = Account::default();
        for n in 0..1000 {
            account.lose(&format!("no {n}\u{1b}[2J{}", "x".repeat(10_000)), 2);
        }
        assert_eq!(account.all_lost(), 2000);
        assert!(account.lost.len() <= MAX_REASONS + 1);
        assert!(account.to_string().len() < 10_000 && !account.to_string().contains('\u{1b}'));
    }
}
