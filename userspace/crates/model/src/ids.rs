//! What the graph names things by.
//!
//! Numbers are never used twice: whoever remembers one of something that has left finds nothing.

/// A task's index in the table of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(usize);

impl TaskIndex {
    /// Returns the index with this number.
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Returns its number: tasks are numbered in the order in which they were first seen, from 0 on.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0
    }
}

/// A request's number, in the order in which heads were read; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A call's number, in the order in which heads were written; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A line's number, in the order in which lines ended; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoggedLineId(pub u64);
