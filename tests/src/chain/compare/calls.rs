//! Claims about outgoing calls.

use std::collections::{BTreeMap, BTreeSet};

use super::{Comparison, Sides, matching};
use crate::chain::claims;
use crate::chain::truth::{Call, How};

impl Sides<'_> {
    /// Every call that is claimed for a request was made for it; each lived call is claimed once at most.
    pub(super) fn calls(&self, result: &mut Comparison) {
        let mut of_request: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, call) in self.truth.calls.iter().enumerate() {
            of_request.entry(call.request).or_default().push(index);
        }
        let mut taken = BTreeSet::new();
        for claimed in &self.claims.calls {
            let Some(request) = claimed.request else { continue };
            let found = self.meant(request).and_then(|meant| {
                let mut free = of_request.get(&meant).into_iter().flatten().filter(|index| !taken.contains(*index));
                let lived = free.find(|index| self.truth.calls.get(**index).is_some_and(|lived| fits(claimed, lived)));
                lived.copied().ok_or_else(|| format!("is not one of {}", self.shown(meant)))
            });
            let score = if claimed.ids.is_empty() { &mut result.calls_without_id } else { &mut result.calls };
            if let Some(lived) = found.as_ref().ok().and_then(|index| self.truth.calls.get(*index)) {
                result.call_ends.lived += 1;
                match end(claimed, lived) {
                    Some(judgement) => result.call_ends.judge(judgement),
                    None => result.call_ends.missed.push(format!("{claimed:?}")),
                }
            }
            taken.extend(found.as_ref().ok());
            score.judge(found.map(drop).map_err(|why| format!("{claimed:?} {why}")));
        }
        self.missed_calls(&taken, result);
    }

    fn missed_calls(&self, taken: &BTreeSet<usize>, result: &mut Comparison) {
        for (index, call) in self.truth.calls.iter().enumerate() {
            let unsent = call.may_be_unsent && !taken.contains(&index);
            if unsent || (!self.bars.http2 && call.is_grpc()) {
                continue;
            }
            let bears = call.correlation.id.is_some();
            let score = if bears { &mut result.calls } else { &mut result.calls_without_id };
            score.lived += 1;
            if !taken.contains(&index) {
                score.missed.push(format!("{call:?}"));
            }
        }
    }
}

/// Returns whether it may be that one: its head was written while it was made, and is the same.
pub(super) fn fits(claimed: &claims::Call, lived: &Call) -> bool {
    let id = lived.correlation.header.as_deref().zip(lived.correlation.id.as_deref());
    (lived.begin_ns..=lived.end_ns).contains(&claimed.opened_ns)
        && claimed.method.as_deref() == Some(&lived.method)
        && claimed.path.as_deref() == Some(&lived.path)
        && matching::same_id(&claimed.ids, id)
}

/// Returns whether it ended with the status that is claimed; `None` where none is claimed and there was one.
fn end(claimed: &claims::Call, lived: &Call) -> Option<Result<(), String>> {
    // A call that was given up may have been answered all the same, when nobody was there to see it.
    let right = match (lived.how, claimed.end.as_ref().and_then(|end| end.status)) {
        (How::Answered, None) => return None,
        (How::Answered, status) => status == lived.status && claimed.grpc_status == lived.grpc,
        (How::Failed, status) => status.is_none(),
        (How::Cancelled | How::Panicked, _) => true,
    };
    Some(if right { Ok(()) } else { Err(format!("{claimed:?} instead of {lived:?}")) })
}
