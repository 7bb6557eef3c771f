//! Names from beyond the executable's own symbols: debug files of the same build, and DWARF.
//!
//! Only names come from here, and confirmation: a probe sits where the executable itself says that
//! an instruction starts.

mod error;
mod find;
mod fits;
mod open;
pub(crate) mod sections;
mod split;
mod subprograms;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use error::{BuildMismatch, DebugError};
pub use find::find;
pub use subprograms::Subprograms;
pub(super) use subprograms::{is_split, subprograms};

/// Places to look for debug files, beyond the usual ones.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A file with the symbols and debug info of the very build that runs, or a directory with one.
    pub debug_file: Option<PathBuf>,
}

/// A file with more names than a stripped executable has; or the executable itself, if it has them.
pub struct DebugFile {
    path: PathBuf,
    /// `None`: the executable's own bytes.
    data: Option<Vec<u8>>,
}

impl fmt::Debug for DebugFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.data.as_ref().map(Vec::len);
        f.debug_struct("DebugFile").field("path", &self.path).field("len", &len).finish()
    }
}

impl DebugFile {
    /// The executable has the names itself; what lies beside this path belongs to it.
    #[must_use]
    pub fn executable(path: &Path) -> Self {
        Self { path: path.to_owned(), data: None }
    }

    /// The path it lies at.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes; `None` if it is the executable itself.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }
}

/// The file that an [`crate::image::elf::Elf`]'s names come from, as far as it knows of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DebugSource<'data> {
    /// A file with DWARF sections, if there is one.
    pub(super) data: &'data [u8],
    /// The path it lies at; split DWARF may lie beside. `None` if only the bytes are known.
    pub(super) path: Option<&'data Path>,
    /// Set if it is another file than the executable.
    pub(super) separate: bool,
    /// Set if the symbols, too, are its own.
    pub(super) symbols: bool,
}
