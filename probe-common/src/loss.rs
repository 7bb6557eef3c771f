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
    /// More programs were interrupted on one CPU than it has slots to put messages together in.
    NoSlot = 5,
    /// Bytes of a connection that were no HTTP message where one had to begin or go on.
    Malformed = 6,
    /// A message, or a buffer of one, could not be read from the target's memory.
    BufferUnreadable = 7,
    /// A system call moved more than is looked at in one go.
    TooLong = 8,
    /// Two threads read, or wrote, one connection at the same time.
    Torn = 9,
    /// A descriptor's number is larger than those that are followed.
    DescriptorTooHigh = 10,
    /// More heads came in pieces at the same time than are kept.
    TooManyPieces = 11,
    /// A connection was read or written in a way that does not show which bytes went through.
    Bypassed = 12,
    /// An HTTP/2 header block could not be read, or was none.
    Http2Unreadable = 13,
    /// An HTTP/2 header block has more fields than are looked at.
    Http2TooManyFields = 14,
    /// A task's chain of awaits could not be followed to its end.
    ChainUnreadable = 15,
    /// A task's chain of awaits was longer than is followed.
    ChainTooLong = 16,
    /// A task was not at rest while its chain of awaits was read.
    ChainTorn = 17,
    /// A connection that was seen from its beginning is encrypted.
    Encrypted = 18,
    /// More threads were inside of polls, or blocked there, at once than are kept.
    TooManyBlocked = 19,
    /// A call wrote more to standard output or error than is copied of one.
    PrintTooLong = 20,
    /// What was written to standard output or error could not be read.
    PrintUnreadable = 21,
    /// A thread's own memory, where the id of the task that it runs stands, could not be read.
    RunningUnreadable = 22,
    /// A sampled thread's registers in user space could not be read.
    RegistersUnreadable = 23,
    /// Nothing of a sampled thread's stack could be read.
    StackUnreadable = 24,
    /// The CPU's ring buffer was so full that a sample, or a blocked thread's stack, would have taken the room of other events.
    StackDropped = 25,
    /// More threads blocked inside of polls than stacks are kept of.
    TooManyStacks = 26,
    /// More threads than are kept were in the middle of something that only they can tell of.
    TooManyThreads = 27,
}

impl Loss {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 28] = [
        Self::RingFull,
        Self::HeaderUnreadable,
        Self::IdUnreadable,
        Self::NotATask,
        Self::NoRing,
        Self::NoSlot,
        Self::Malformed,
        Self::BufferUnreadable,
        Self::TooLong,
        Self::Torn,
        Self::DescriptorTooHigh,
        Self::TooManyPieces,
        Self::Bypassed,
        Self::Http2Unreadable,
        Self::Http2TooManyFields,
        Self::ChainUnreadable,
        Self::ChainTooLong,
        Self::ChainTorn,
        Self::Encrypted,
        Self::TooManyBlocked,
        Self::PrintTooLong,
        Self::PrintUnreadable,
        Self::RunningUnreadable,
        Self::RegistersUnreadable,
        Self::StackUnreadable,
        Self::StackDropped,
        Self::TooManyStacks,
        Self::TooManyThreads,
    ];

    /// A short stable name, for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring-full",
            Self::HeaderUnreadable => "header-unreadable",
            Self::IdUnreadable => "id-unreadable",
            Self::NotATask => "not-a-task",
            Self::NoRing => "no-ring",
            Self::NoSlot => "no-slot",
            Self::Malformed => "malformed",
            Self::BufferUnreadable => "buffer-unreadable",
            Self::TooLong => "too-long",
            Self::Torn => "torn",
            Self::DescriptorTooHigh => "descriptor-too-high",
            Self::TooManyPieces => "too-many-pieces",
            Self::Bypassed => "bypassed",
            Self::Http2Unreadable => "http2-unreadable",
            Self::Http2TooManyFields => "http2-too-many-fields",
            Self::ChainUnreadable => "chain-unreadable",
            Self::ChainTooLong => "chain-too-long",
            Self::ChainTorn => "chain-torn",
            Self::Encrypted => "encrypted",
            Self::TooManyBlocked => "too-many-blocked",
            Self::PrintTooLong => "print-too-long",
            Self::PrintUnreadable => "print-unreadable",
            Self::RunningUnreadable => "running-unreadable",
            Self::RegistersUnreadable => "registers-unreadable",
            Self::StackUnreadable => "stack-unreadable",
            Self::StackDropped => "stack-dropped",
            Self::TooManyStacks => "too-many-stacks",
            Self::TooManyThreads => "too-many-threads",
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
            Self::ChainUnreadable => "what a task awaited could not be read, and is not known for one wait",
            Self::ChainTooLong => "what a task awaited is too long to be read, and is not known for one wait",
            Self::ChainTorn => "a task was torn down while what it awaited was read",
            Self::Encrypted => "a connection is encrypted (TLS): no HTTP/1 is seen on it",
            Self::TooManyBlocked => {
                "too many threads were inside of polls at once: what some were blocked counts as running"
            }
            Self::RunningUnreadable => {
                "which task a thread runs could not be read, and is not known for one sample or spawn"
            }
            Self::RegistersUnreadable => "a thread's registers could not be read: a sample is missing",
            Self::StackUnreadable => "a thread's stack could not be read, and is not known for one sample",
            Self::TooManyStacks => "too many threads blocked inside of polls: where one did is not known",
            Self::TooManyThreads => "too many threads at once: who woke or spawned some task is not known",
            Self::StackDropped => {
                "the ring buffer was too full for a sample, or for where a thread blocked: raise --buffer"
            }
            Self::NoRing => "a CPU came online after the attach: attach again",
            Self::NoSlot => {
                "too much at once on one CPU: connections were lost sight of, or lines to standard output or error cut"
            }
            Self::PrintTooLong => "so much was written to standard output or error at once that its end is missing",
            Self::PrintUnreadable => "what was written to standard output or error could not be read",
            Self::Malformed => "no valid HTTP where a message had to be: the connection was lost sight of",
            Self::BufferUnreadable => "a buffer could not be read: the connection was lost sight of",
            Self::TooLong => "a head or a list of buffers was too long: the connection was lost sight of",
            Self::Torn => "two threads read or wrote one connection at once: it was lost sight of",
            Self::DescriptorTooHigh => "I/O on a descriptor whose number is too high to be followed",
            Self::TooManyPieces => "too many heads came in pieces at once: their connections were lost sight of",
            Self::Bypassed => {
                "a connection was duplicated, or used by a call that hides what went through: it was lost sight of"
            }
            Self::Http2Unreadable => "an HTTP/2 head could not be read: it is missing",
            Self::Http2TooManyFields => {
                "an HTTP/2 head had more fields than are looked at: some of its values may be missing"
            }
        }
    }

    /// Whether a counted event is missing from the recording, which leaves a gap in the CPU's numbers.
    ///
    /// A connection that was lost sight of is no gap: it has a record of its own, where messages of it were
    /// recorded before. Nor is a sample that was dropped: it took no number.
    #[must_use]
    pub const fn leaves_gap(self) -> bool {
        matches!(self, Self::RingFull | Self::HeaderUnreadable | Self::IdUnreadable | Self::NoRing)
    }
}
