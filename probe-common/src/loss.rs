//! Every way in which an event does not reach the agent.

/// Why an event was not written, each counted per CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Loss {
    /// The CPU's ring buffer was full.
    RingFull = 0,
    /// The task's header could not be read.
    HeaderUnreadable = 1,
    /// The task's id could not be read.
    IdUnreadable = 2,
    /// The word where a task's vtable should be is no known task vtable; the event was not a task's.
    NotATask = 3,
    /// The CPU has no ring buffer (it came online after the attach).
    NoRing = 4,
}

impl Loss {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::RingFull, Self::HeaderUnreadable, Self::IdUnreadable, Self::NotATask, Self::NoRing];

    /// A short stable name, for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring-full",
            Self::HeaderUnreadable => "header-unreadable",
            Self::IdUnreadable => "id-unreadable",
            Self::NotATask => "not-a-task",
            Self::NoRing => "no-ring",
        }
    }

    /// One line, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::RingFull => "the ring buffer was full: raise --buffer",
            Self::HeaderUnreadable => "a task's header could not be read",
            Self::IdUnreadable => "a task's id could not be read",
            Self::NotATask => "a hook saw something that is no known task, and ignored it",
            Self::NoRing => "a CPU came online after the attach: attach again",
        }
    }

    /// Whether a counted event is missing from the recording, which leaves a gap in the CPU's numbers.
    #[must_use]
    pub const fn leaves_gap(self) -> bool {
        !matches!(self, Self::NotATask)
    }
}
