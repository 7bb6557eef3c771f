//! Every way in which an event does not reach the agent.

/// Declares the ways: for each its number, a name for machines, a line for people, and `leaves_gap` where it does.
macro_rules! losses {
    ($($(#[$doc:meta])* $loss:ident = $number:literal, $name:literal, $meaning:literal $(, $gap:ident)?;)*) => {
        /// The reasons why an event was not written, each counted per CPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Loss {
            $($(#[$doc])* $loss = $number,)*
        }

        impl Loss {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$(stringify!($loss)),*].len()] = [$(Self::$loss),*];

            /// Returns a short stable name, for machines.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$loss => $name,)*
                }
            }

            /// Returns one line, for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$loss => $meaning,)*
                }
            }

            /// Returns `true` where a counted event is missing from the recording, which leaves a gap in the CPU's
            /// numbers.
            ///
            /// A connection that was lost sight of is no gap: it has a record of its own, where messages of it were
            /// recorded before. Nor is a sample that was dropped: it took no number.
            #[must_use]
            pub const fn leaves_gap(self) -> bool {
                matches!(self, $($(| gap!($loss $gap))?)*)
            }
        }
    };
}

macro_rules! gap {
    ($loss:ident leaves_gap) => {
        Loss::$loss
    };
}

losses! {
    /// The CPU's ring buffer was full.
    RingFull = 0, "ring-full",
        "the ring buffer was full: raise --buffer", leaves_gap;
    /// The task's header could not be read.
    HeaderUnreadable = 1, "header-unreadable",
        "a task's header could not be read", leaves_gap;
    /// The task's id could not be read.
    IdUnreadable = 2, "id-unreadable",
        "a task's id could not be read", leaves_gap;
    /// The word where a task's vtable should be is no known task vtable; the event was not a task's.
    NotATask = 3, "not-a-task",
        "a hook saw something that is no known task, and ignored it";
    /// The CPU has no ring buffer (it came online after the attach).
    NoRing = 4, "no-ring",
        "a CPU came online after the attach: attach again", leaves_gap;
    /// More programs were interrupted on one CPU than it has slots to put messages together in.
    NoSlot = 5, "no-slot",
        "too much at once on one CPU: connections were lost sight of, or lines to standard output or error cut";
    /// Bytes of a connection that were no HTTP message where one had to begin or go on.
    Malformed = 6, "malformed",
        "no valid HTTP where a message had to be: the connection was lost sight of";
    /// A message, or a buffer of one, could not be read from the target's memory.
    BufferUnreadable = 7, "buffer-unreadable",
        "a buffer could not be read: the connection was lost sight of";
    /// A system call moved more than is looked at in one go.
    TooLong = 8, "too-long",
        "a head or a list of buffers was too long: the connection was lost sight of";
    /// Two threads read, or wrote, one connection at the same time.
    Torn = 9, "torn",
        "two threads read or wrote one connection at once: it was lost sight of";
    /// A descriptor's number is larger than those that are followed.
    DescriptorTooHigh = 10, "descriptor-too-high",
        "I/O on a descriptor whose number is too high to be followed";
    /// More heads came in pieces at the same time than are kept.
    TooManyPieces = 11, "too-many-pieces",
        "too many heads came in pieces at once: their connections were lost sight of";
    /// A connection was read or written in a way that does not show which bytes went through.
    Bypassed = 12, "bypassed",
        "a connection was duplicated, or used by a call that hides what went through: it was lost sight of";
    /// An HTTP/2 header block could not be read, or was none.
    Http2Unreadable = 13, "http2-unreadable",
        "an HTTP/2 head could not be read: it is missing";
    /// An HTTP/2 header block has more fields than are looked at.
    Http2TooManyFields = 14, "http2-too-many-fields",
        "an HTTP/2 head had more fields than are looked at: some of its values may be missing";
    /// A task's chain of awaits could not be followed to its end.
    ChainUnreadable = 15, "chain-unreadable",
        "what a task awaited could not be read, and is not known for one wait";
    /// A task's chain of awaits was longer than is followed.
    ChainTooLong = 16, "chain-too-long",
        "what a task awaited is too long to be read, and is not known for one wait";
    /// A task was not at rest while its chain of awaits was read.
    ChainTorn = 17, "chain-torn",
        "a task was torn down while what it awaited was read";
    /// A connection that was seen from its beginning is encrypted.
    Encrypted = 18, "encrypted",
        "a connection is encrypted (TLS): no HTTP/1 is seen on it";
    /// More threads were inside of polls, or off the CPU there, at once than are kept.
    TooManyOffCpu = 19, "too-many-off-cpu",
        "too many threads were inside of polls at once: the time that some were off the CPU counts as running";
    /// A call wrote more to standard output or error than is copied of one.
    PrintTooLong = 20, "print-too-long",
        "so much was written to standard output or error at once that its end is missing";
    /// Bytes that were written to standard output or error could not be read.
    PrintUnreadable = 21, "print-unreadable",
        "what was written to standard output or error could not be read";
    /// A thread's own memory, where the id of the task that it runs stands, could not be read.
    RunningUnreadable = 22, "running-unreadable",
        "which task a thread runs could not be read, and is not known for one sample or spawn";
    /// A sampled thread's registers in user space could not be read.
    RegistersUnreadable = 23, "registers-unreadable",
        "a thread's registers could not be read: a sample is missing";
    /// Nothing of a sampled thread's stack could be read.
    StackUnreadable = 24, "stack-unreadable",
        "a thread's stack could not be read, and is not known for one sample";
    /// The CPU's ring buffer was so full that a sample, or an off-CPU thread's stack, would have taken the room of other events.
    StackDropped = 25, "stack-dropped",
        "the ring buffer was too full for a sample, or for where a thread left the CPU: raise --buffer";
    /// More threads off the CPU inside of polls than stacks are kept of.
    TooManyStacks = 26, "too-many-stacks",
        "too many threads off the CPU inside of polls: where one left it is not known";
    /// More threads than are kept were in the middle of something that only they can report.
    TooManyThreads = 27, "too-many-threads",
        "too many threads at once: who woke or spawned some task is not known";
    /// The kernel ran no program as a thread came back to a CPU; it was found there later.
    OffCpuEndUnseen = 28, "off-cpu-end-unseen",
        "the kernel left out that a thread came back to a CPU: its time off it is told as too long, or not at all";
}
