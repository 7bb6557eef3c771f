//! How it is known where functions start.

use serde::{Deserialize, Serialize};

/// The way in which the starts of the executable's functions are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum FunctionStarts {
    /// By its unwind tables.
    #[default]
    UnwindTables,
    /// By following code from the task vtables, as its unwind tables lack functions of theirs.
    Descent {
        /// The functions in the tables.
        in_tables: usize,
        /// The functions that were found.
        found: usize,
    },
}
