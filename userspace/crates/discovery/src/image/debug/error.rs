//! Errors about the debug file that was given.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// A reason that the debug file that was given is of no use, as a sentence. It has no source: the sentence says all.
#[derive(Debug, Error)]
pub enum DebugError {
    /// The directory holds no file of the executable's build.
    #[error(
        "--debug-file {}: no file in this directory is of the executable's build ({})",
        shown(given),
        identity(build_id.as_deref())
    )]
    NoTwin {
        /// The directory.
        given: PathBuf,
        /// The executable's build id, if it has one.
        build_id: Option<String>,
    },
    /// The file cannot be read.
    #[error("--debug-file {}: cannot be read ({error})", shown(given))]
    Unreadable {
        /// The file, or the directory that it was found in.
        given: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The file is of another build.
    #[error(
        "--debug-file {} is not of the executable's build: {mismatch}; give the unstripped file of the very build that \
         runs",
        shown(given)
    )]
    OtherBuild {
        /// The file, or the directory that it was found in.
        given: PathBuf,
        /// The difference.
        mismatch: BuildMismatch,
    },
    /// The file names nothing.
    #[error(
        "--debug-file {} has neither symbols nor debug info; give the file as it was before it was stripped",
        shown(given)
    )]
    NoNames {
        /// The file, or the directory that it was found in.
        given: PathBuf,
    },
}

/// A difference by which two files are not of one build, as a clause.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildMismatch {
    /// Their build ids differ. Both are in hexadecimal.
    #[error("its build id is {debug}, the executable's is {executable}")]
    BuildIds {
        /// The debug file's.
        debug: String,
        /// The executable's.
        executable: String,
    },
    /// One of them is no ELF file that can be read.
    #[error("it cannot be read ({0})")]
    Malformed(object::read::Error),
    /// Their sections lie differently.
    #[error("one of the two has no build id, and their sections lie differently")]
    Sections,
    /// A section has other bytes.
    #[error("one of the two has no build id, and their {section} differs")]
    Bytes {
        /// The section's name.
        section: &'static str,
    },
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

fn identity(build_id: Option<&str>) -> String {
    build_id.map_or_else(|| "it has no build id".to_owned(), |id| format!("build id {id}"))
}
