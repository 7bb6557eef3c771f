//! What was not seen, by reason.

use serde::{Deserialize, Serialize};

/// A reason why something was not seen, and how much was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotSeen {
    /// The reason: a [name](probe_common::loss::Loss::name) of the probe's, or one of the agent's own. A later
    /// asyncscope may have others.
    pub why: String,
    /// The number of things that were not seen for it: events, samples or connections, as the reason says.
    pub count: u64,
}

impl NotSeen {
    /// As many, for this reason.
    #[must_use]
    pub fn new(why: impl Into<String>, count: u64) -> Self {
        Self { why: why.into(), count }
    }
}
