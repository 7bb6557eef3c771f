//! The judgement of a claim.

/// The judgement of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// For the request whose it is.
    Right,
    /// One of several, the right one among them.
    Candidate,
    /// One of several that are all wrong.
    Without,
    /// Likely ones, and none of them the right one: no claim, but no help either.
    Unlikely,
    /// No claim was made.
    Silent,
    /// For another request.
    Wrong,
}

/// Judges a claim for what is truly of the request `meant`, which the agent may not have seen.
#[must_use]
pub fn judge(claimed: Option<u64>, candidates: Option<&[u64]>, meant: Option<u64>) -> Verdict {
    let is_meant = |request: u64| Some(request) == meant;
    match (claimed, candidates.unwrap_or_default()) {
        (Some(request), _) if is_meant(request) => Verdict::Right,
        (Some(_), _) => Verdict::Wrong,
        (None, []) => Verdict::Silent,
        (None, several) if several.iter().any(|request| is_meant(*request)) => Verdict::Candidate,
        (None, _) => Verdict::Without,
    }
}
