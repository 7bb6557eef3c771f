//! Who can end a wait, and by what.

use super::Held;
use crate::event::TaskId;

/// The task that another waits for at one of its leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitsFor {
    /// The task that can end the wait.
    pub task: TaskId,
    /// The way in which it can.
    pub by: WaitCause,
}

/// The way in which a task ends another's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCause {
    /// By giving this up.
    Release(Held),
    /// By its end.
    End,
    /// By having its turn: it waits for the same, came first, and has got a part of it.
    Turn,
}

impl WaitsFor {
    /// The thing that the task keeps.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        if let WaitCause::Release(held) = self.by { Some(held) } else { None }
    }
}
