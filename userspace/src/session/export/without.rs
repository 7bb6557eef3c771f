//! The export of spans where asyncscope was built without it: a type without values, so that nothing of it can be asked
//! for, and whoever passes it on need not know.

use anyhow::Result;

use super::OnFull;
use asyncscope_model::{Graph, SpanDetail};
use asyncscope_trace::facts::Facts;

/// Options, preparation and run of an export that nobody can ask for.
#[derive(Clone, Debug)]
pub enum Never {}

impl Never {
    pub(in crate::session) fn is_stdout(&self) -> bool {
        match *self {}
    }

    pub(in crate::session) fn ready(&self) -> Result<Self> {
        match *self {}
    }

    pub(in crate::session) fn noted(&self) -> SpanDetail {
        match *self {}
    }

    pub(in crate::session) fn start(self, _: &Facts) -> Result<Self> {
        match self {}
    }

    pub(in crate::session) fn round(&mut self, _: &mut Graph, _: &Facts, _: u64, _: bool, _: OnFull) {
        match *self {}
    }

    pub(in crate::session) fn hurry(&self) {
        match *self {}
    }

    pub(in crate::session) fn finish(self, _: &mut Graph, _: &Facts) -> Result<()> {
        match self {}
    }
}
