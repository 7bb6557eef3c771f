//! The key that plans are kept by.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::image::elf::{Elf, hexadecimal};

/// The name that a file's plan is kept by: the file's build id, or else a hash of all its bytes. No file with other
/// bytes gets the plan: of equal build ids only where length and all hooks fit too, and hashes do not collide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanKey(String);

impl PlanKey {
    /// A build id is as long as a hash is; a shorter or longer one is somebody's own idea.
    const BUILD_ID: RangeInclusive<usize> = 16..=128;

    pub(super) fn of(elf: &Elf<'_>) -> Self {
        match elf.build_id.as_deref().filter(|id| Self::BUILD_ID.contains(&id.len())) {
            Some(build_id) => Self(build_id.to_owned()),
            // What a file says of itself beside its bytes, as its time of change, can be set at will.
            None => Self(format!("sha256-{}", hexadecimal(digest(&SHA256, elf.data()).as_ref()))),
        }
    }

    pub(super) fn file(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.plan", self.0))
    }
}
