//! The export of spans where asyncscope was built without it: types without values, so that nothing of it can be asked
//! for, and whoever passes them on need not know.

use anyhow::Result;

use asyncscope_model::{Graph, SpanDetail};
use asyncscope_trace::facts::Facts;

/// The time from a task's end until it leaves: what other threads still have to say of it has come by then.
pub(super) const HOLD_NS: u64 = 300_000_000;

/// Options that nobody can ask for.
#[derive(Clone, Debug)]
pub enum ExportOptions {}

/// Never decided.
#[derive(Debug)]
pub(super) enum Ready {}

/// Never begun.
#[derive(Debug)]
pub(super) enum Export {}

/// The choice where the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Drop and count.
    Drop,
    /// Wait.
    Wait,
}

impl ExportOptions {
    pub(super) fn is_stdout(&self) -> bool {
        match *self {}
    }

    pub(super) fn ready(&self) -> Result<Ready> {
        match *self {}
    }
}

impl Ready {
    pub(super) fn noted(&self) -> SpanDetail {
        match *self {}
    }

    pub(super) fn start(self, _: &Facts) -> Result<Export> {
        match self {}
    }
}

impl Export {
    pub(super) fn round(&mut self, _: &mut Graph, _: &Facts, _: u64, _: bool, _: Full) {
        match *self {}
    }

    pub(super) fn hurry(&self) {
        match *self {}
    }

    pub(super) fn finish(self, _: &mut Graph, _: &Facts) -> Result<()> {
        match self {}
    }
}
