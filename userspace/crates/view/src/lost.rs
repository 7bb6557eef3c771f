//! What did not reach the agent, reported as the same number everywhere, and what reached it and cannot be read.

use probe_common::loss::Loss;

use asyncscope_model::{Graph, Totals};
use asyncscope_trace::facts::NotSeen;

/// Events and samples that did not reach the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Their numbers, by the reason.
    pub by_kind: Vec<NotSeen>,
    /// Connections under TLS. Nothing of them is lost: it cannot be read.
    pub encrypted: u64,
}

/// Kinds that the agent counts itself, each event of which is missing in a gap.
const OWN_GAPS: [&str; 2] = ["calls-left-out", "undecoded"];
/// The kind of what the gaps miss beyond all that was counted.
const OTHERWISE: &str = "otherwise";

impl Lost {
    /// Of what was counted, that which is of the graph's time. Hooks go one kind after the other, and count on after
    /// the end: what is missing in no gap is no loss of the recording's.
    #[must_use]
    pub fn of(counted: &[NotSeen], graph: &Graph) -> Self {
        let is_encrypted = |lost: &NotSeen| lost.why == Loss::Encrypted.name();
        let (encrypted, lost): (Vec<_>, Vec<_>) = counted.iter().cloned().partition(is_encrypted);
        let encrypted = encrypted.iter().fold(0_u64, |sum, lost| sum.saturating_add(lost.count));
        Self { by_kind: fitted(&lost, graph.totals().lost), encrypted }
    }

    /// Returns all that was not seen, what cannot be read among it: reasons for which nothing was are left out.
    pub(super) fn not_seen(&self) -> Vec<NotSeen> {
        let encrypted = NotSeen::new(Loss::Encrypted.name(), self.encrypted);
        self.by_kind.iter().cloned().chain([encrypted]).filter(|lost| lost.count > 0).collect()
    }

    /// Says what cannot be read, if there is any of it.
    pub(super) fn unreadable(&self) -> Option<String> {
        let connections = match self.encrypted {
            0 => return None,
            1 => "1 connection is".to_owned(),
            count => format!("{count} connections are"),
        };
        Some(format!("{connections} encrypted (TLS): HTTP/1 there cannot be read"))
    }
}

/// Returns the counts, with those that leave gaps lowered, the largest first, or added to until they sum up to what the
/// gaps miss.
fn fitted(counted: &[NotSeen], in_gaps: u64) -> Vec<NotSeen> {
    let mut by_kind = counted.to_vec();
    let mut leaving: Vec<&mut u64> =
        by_kind.iter_mut().filter(|lost| leaves_gap(&lost.why)).map(|lost| &mut lost.count).collect();
    leaving.sort_unstable_by(|one, other| other.cmp(one));
    let sum = leaving.iter().fold(0_u64, |sum, count| sum.saturating_add(**count));
    let mut beyond = sum.saturating_sub(in_gaps);
    for count in leaving {
        let less = beyond.min(*count);
        (*count, beyond) = (*count - less, beyond - less);
    }
    if in_gaps > sum {
        by_kind.push(NotSeen::new(OTHERWISE, in_gaps - sum));
    }
    by_kind
}

fn leaves_gap(kind: &str) -> bool {
    OWN_GAPS.contains(&kind) || Loss::ALL.iter().any(|loss| loss.leaves_gap() && loss.name() == kind)
}

/// Returns how many samples were not taken by these counts.
#[must_use]
pub fn samples(counted: &[NotSeen]) -> u64 {
    let kinds = [Loss::RegistersUnreadable, Loss::StackDropped].map(Loss::name);
    let counts = counted.iter().filter(|lost| kinds.contains(&lost.why.as_str())).map(|lost| lost.count);
    counts.fold(0, u64::saturating_add)
}

/// Says how many events are missing, and samples where any is.
pub(super) fn described(totals: &Totals) -> String {
    let samples = match totals.samples_lost {
        0 => String::new(),
        samples => format!(", {samples} samples lost"),
    };
    format!("{} events lost{samples}", totals.lost)
}

/// The warning that an output with something missing bears.
#[must_use]
pub fn warning(totals: &Totals) -> Option<String> {
    let doubt = if totals.gaps == 0 { "" } else { ": what they put in doubt is shown as unknown" };
    (totals.lost > 0 || totals.samples_lost > 0).then(|| format!("{}{doubt}", described(totals)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use asyncscope_model::testing::script::graph;

    fn check(counted: &[(&str, u64)], in_gaps: u64, expected: &[(&str, u64)]) {
        let named =
            |kinds: &[(&str, u64)]| kinds.iter().map(|&(why, count)| NotSeen::new(why, count)).collect::<Vec<_>>();
        assert_eq!(fitted(&named(counted), in_gaps), named(expected));
    }

    #[test]
    fn what_was_lost_after_the_end_is_not_counted() {
        check(&[("ring-full", 9)], 7, &[("ring-full", 7)]);
        check(&[("no-ring", 3), ("ring-full", 9), ("torn", 2)], 2, &[("no-ring", 2), ("ring-full", 0), ("torn", 2)]);
        check(&[("ring-full", 9), ("not-a-task", 4)], 0, &[("ring-full", 0), ("not-a-task", 4)]);
        check(&[("calls-left-out", 2), ("ring-full", 1)], 3, &[("calls-left-out", 2), ("ring-full", 1)]);
    }

    #[test]
    fn what_is_encrypted_is_not_lost() {
        let counted = [NotSeen::new("encrypted", 9), NotSeen::new("torn", 1), NotSeen::new("bypassed", 0)];
        let lost = Lost::of(&counted, &graph(""));
        assert_eq!(lost, Lost { by_kind: vec![NotSeen::new("torn", 1), NotSeen::new("bypassed", 0)], encrypted: 9 });
        assert_eq!(lost.not_seen(), [NotSeen::new("torn", 1), NotSeen::new("encrypted", 9)]);
        assert_eq!(Lost::default().not_seen(), []);
        assert_eq!(lost.unreadable().unwrap(), "9 connections are encrypted (TLS): HTTP/1 there cannot be read");
        assert_eq!(Lost::default().unreadable(), None);
    }

    #[test]
    fn what_nothing_counted_is_reported() {
        check(&[("ring-full", 1)], 3, &[("ring-full", 1), ("otherwise", 2)]);
        check(&[], 0, &[]);
    }

    #[test]
    fn warnings_report_events_and_samples() {
        let totals = |lost, samples_lost| Totals { lost, samples_lost, gaps: lost, ..Totals::default() };
        assert_eq!(warning(&totals(0, 0)), None);
        assert_eq!(warning(&totals(0, 2)).unwrap(), "0 events lost, 2 samples lost");
        assert_eq!(warning(&totals(3, 0)).unwrap(), "3 events lost: what they put in doubt is shown as unknown");
        let counted = [("stack-dropped", 2), ("registers-unreadable", 3), ("torn", 9)]
            .map(|(why, count)| NotSeen::new(why, count));
        assert_eq!(samples(&counted), 5);
    }
}
