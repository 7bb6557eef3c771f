//! The ways of the task header through each function that takes it.

use std::collections::{BTreeSet, HashMap};

use super::vtables::Vtable;
use crate::{
    addr::ElfAddr,
    code::x86_64::{
        FIRST,
        code::Code,
        flow::{self, Flow},
    },
};

/// The flow from each function, once.
pub(super) struct Flows(pub(super) HashMap<ElfAddr, Flow>);

impl Flows {
    pub(super) fn of(code: &Code<'_, '_>, roots: impl Iterator<Item = ElfAddr>) -> Self {
        let roots: BTreeSet<ElfAddr> = roots.collect();
        Self(roots.into_iter().map(|root| (root, flow::follow(code, root, FIRST))).collect())
    }

    /// Those of these task vtables.
    pub(super) fn only(mut self, vtables: &[Vtable]) -> Self {
        let kept: BTreeSet<ElfAddr> = vtables.iter().map(|vtable| vtable.poll).collect();
        self.0.retain(|poll, _| kept.contains(poll));
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.0.values()
    }
}
