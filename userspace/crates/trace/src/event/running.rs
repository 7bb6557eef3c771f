//! What a thread runs.

use super::TaskId;

/// The task that a thread runs, as tokio's `CONTEXT` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Running {
    /// This one.
    Task(TaskId),
    /// None.
    Nothing,
    /// The word could not be read.
    Unknown,
}

impl Running {
    /// The task, if it is one.
    #[must_use]
    pub fn task(self) -> Option<TaskId> {
        if let Self::Task(id) = self { Some(id) } else { None }
    }
}
