//! The records that the programs write into the ring buffers.
//!
//! Every record starts with a [`Head`]. All fields are in the machine's byte order, have no padding
//! between them, and are plain integers: any bytes are a valid record, so reading one cannot fail for
//! another reason than its length.

pub mod flags;
pub mod message;
pub mod state;

/// Declares the records, each with its length in bytes and, where it is not a part of others, its kind.
macro_rules! records {
    ($($(#[$doc:meta])* $name:ident $(: $kind:literal)? = $size:literal {
        $($(#[$field_doc:meta])* $field:ident: $ty:ty,)*
    })*) => {
        /// The kind of record that follows a [`Head`]; the value of [`Head::kind`].
        ///
        /// Values are never reused: recordings hold them. Those from [`Kind::AGENT`] on are the agent's own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "user", derive(zerocopy::TryFromBytes))]
        #[repr(u8)]
        pub enum Kind {
            $($(
                #[doc = concat!("[`", stringify!($name), "`]")]
                $name = $kind,
            )?)*
        }

        impl Kind {
            /// The first of the kinds of records that only the agent writes.
            pub const AGENT: u8 = 64;
        }

        $(
            $(const _: () = assert!($kind < Kind::AGENT);)?
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[cfg_attr(
                feature = "user",
                derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
            )]
            #[repr(C)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $ty,)*
            }
            const _: () = assert!(size_of::<$name>() == $size && align_of::<$name>() == 8);
        )*
    };
}

records! {
    /// The start of every record.
    Head = 32 {
        /// The time, in nanoseconds of `CLOCK_MONOTONIC`, read after `seq` was taken.
        time: u64,
        /// The number of this record among all that this CPU tried to write; a jump is a loss.
        seq: u64,
        /// The thread's stack pointer at the hook.
        sp: u64,
        /// The thread, as the kernel numbers it in the initial pid namespace.
        tid: u32,
        /// The CPU that wrote the record.
        cpu: u16,
        /// A [`Kind`].
        kind: u8,
        /// Bits of [`flags`].
        flags: u8,
    }

    /// A tokio task, as its header described itself at the hook.
    Task = 24 {
        /// The address of the task's `Header`. Reused after the task is freed.
        header: u64,
        /// tokio's task id: never reused within a process, never 0 unless it could not be read.
        id: u64,
        /// The address of the task's `Vtable`: its type.
        vtable: u64,
    }

    /// `raw::poll` was entered: a poll, or with CANCELLED or COMPLETE in `state` the end of a task.
    PollStart: 1 = 64 {
        /// Every record's start.
        head: Head,
        /// The task.
        task: Task,
        /// The state word at the entry.
        state: u64,
    }

    /// The task left RUNNING: the poll is over. COMPLETE in `new` says whether the task is.
    PollEnd: 2 = 72 {
        /// Every record's start.
        head: Head,
        /// The task. `id` and `vtable` are 0 where the header could no longer be trusted.
        task: Task,
        /// The state word before the transition.
        old: u64,
        /// The state word after the transition.
        new: u64,
    }

    /// A waker of the task was used.
    Wake: 3 = 80 {
        /// Every record's start.
        head: Head,
        /// The task that was woken.
        task: Task,
        /// The state word before the wake.
        old: u64,
        /// The state word after the wake.
        new: u64,
        /// The return address of the waker function: who used the waker. 0: not known.
        caller: u64,
    }

    /// A wake while the thread was in a driver's turn.
    WakeInTurn: 12 = 96 {
        /// Every record's start.
        head: Head,
        /// The task that was woken.
        task: Task,
        /// The state word before the wake.
        old: u64,
        /// The state word after the wake.
        new: u64,
        /// The return address of the waker function: who used the waker. 0: not known.
        caller: u64,
        /// The thread's stack pointer at the entry of the turn.
        turn: u64,
        /// The [`Driver`] whose turn it was.
        ///
        /// [`Driver`]: crate::config::Driver
        driver: u64,
    }

    /// The task was asked to cancel, by `abort` on a handle.
    Abort: 4 = 72 {
        /// Every record's start.
        head: Head,
        /// The task.
        task: Task,
        /// The state word before.
        old: u64,
        /// The state word after.
        new: u64,
    }

    /// A new task was handed to its scheduler.
    Spawn: 5 = 72 {
        /// Every record's start.
        head: Head,
        /// The new task.
        task: Task,
        /// Its state word.
        state: u64,
        /// The return address of the hooked function: inside the code that spawns. 0: not known.
        caller: u64,
    }

    /// A spawn where polls have no hooks: with the task that the thread runs as tokio's `CONTEXT` reports.
    SpawnedBy: 25 = 80 {
        /// Every record's start.
        head: Head,
        /// The new task.
        task: Task,
        /// Its state word.
        state: u64,
        /// The return address of the hooked function: inside the code that spawns. 0: not known.
        caller: u64,
        /// The id of the task that the thread runs; 0: none. With [`flags::ID_UNREADABLE`] it is not known.
        by: u64,
    }

    /// The clock struck while a thread of the target had a CPU. Followed by `stack_len` bytes of its stack,
    /// from the stack pointer on; the record ends there. Never kept as it is: it holds the target's memory.
    Sample: 24 = 112 {
        /// Every record's start. The stack pointer is the thread's in user space.
        head: Head,
        /// The id of the task that the thread runs; 0: none. With [`flags::ID_UNREADABLE`] it is not known.
        id: u64,
        /// The thread's registers in user space: RIP.
        ip: u64,
        /// RBP
        bp: u64,
        /// RBX
        bx: u64,
        /// R12 to R15
        r: [u64; 4],
        /// The number of bytes of the stack that follow, at most [`STACK_MAX`].
        stack_len: u64,
        /// 0.
        zero: u64,
    }

    /// The runtime shuts the task down: `Vtable::shutdown` was entered.
    Shutdown: 6 = 64 {
        /// Every record's start.
        head: Head,
        /// The task.
        task: Task,
        /// The state word at the entry.
        state: u64,
    }

    /// A panic starts to unwind on this thread.
    Panic: 7 = 32 {
        /// Every record's start.
        head: Head,
    }

    /// The await chain of a task until this poll of it began: on the same thread, the record before is the
    /// [`PollStart`].
    Awaited: 16 = 64 {
        /// Every record's start.
        head: Head,
        /// The task.
        task: Task,
        /// The chain's hash: the one of a [`Frames`].
        chain: u64,
    }

    /// The frames of a chain, reported once.
    Frames: 17 = 240 {
        /// Every record's start.
        head: Head,
        /// The chain's hash.
        chain: u64,
        /// The number of frames that count.
        count: u32,
        /// 1 if the chain goes on in a way that was not followed.
        partial: u32,
        /// The frames, each before those inside it: its number in the lower [`FRAME_BITS`] bits, above them
        /// how many frames it lies in. What does not count is 0.
        ///
        /// [`FRAME_BITS`]: crate::chain::FRAME_BITS
        frames: [u32; FRAMES_MAX],
    }

    /// The head's thread is on a CPU again after it was switched out, not runnable, inside a poll. Its waits for
    /// a CPU while it was runnable make no record. The head's `time` and `cpu` are those of the switch back (but for
    /// [`flags::END_UNSEEN`]), `sp` is the thread's own, in user space, while it was out; 0 if that could not be read.
    OffCpu: 18 = 40 {
        /// Every record's start.
        head: Head,
        /// The time at which it was switched out, in nanoseconds of `CLOCK_MONOTONIC`.
        since: u64,
    }

    /// Off-CPU time of at least [`LONG_NS`], where the thread's stack was taken when it was switched out.
    /// Followed by `stack_len` bytes of it, from the stack pointer on; the record ends there. Never kept as it is:
    /// it holds the target's memory.
    OffCpuStack: 19 = 112 {
        /// Every record's start, as in [`OffCpu`].
        head: Head,
        /// The time at which it was switched out, in nanoseconds of `CLOCK_MONOTONIC`.
        since: u64,
        /// The thread's registers in user space: RIP.
        ip: u64,
        /// RBP
        bp: u64,
        /// RBX
        bx: u64,
        /// R12 to R15
        r: [u64; 4],
        /// The number of bytes of the stack that follow, at most [`OFF_CPU_STACK_MAX`].
        stack_len: u64,
        /// As in [`OffCpuOutside`]; else 0.
        outside: u64,
    }

    /// Off-CPU time without a stack, where the thread left user space by no system call, and waited for something in
    /// the kernel that no signal ends. Never kept as it is: the agent knows whether a hook is there.
    OffCpuOutside: 20 = 48 {
        /// Every record's start, as in [`OffCpu`].
        head: Head,
        /// The time at which it was switched out, in nanoseconds of `CLOCK_MONOTONIC`.
        since: u64,
        /// The thread's registers in user space: RIP. Not 0.
        outside: u64,
    }

    /// `raw::poll` returns. Only where no [`PollEnd`] can be seen in a build.
    PollExit: 8 = 32 {
        /// Every record's start.
        head: Head,
    }

    /// The head of an HTTP message went through: its start line, and the values of the allow-listed
    /// headers in it. Followed by the method, the path, and for each value a [`ValueHead`] and its bytes,
    /// without anything between them, and with [`message::BY`] by a task's id; the record ends there.
    Message: 9 = 56 {
        /// Every record's start.
        head: Head,
        /// The connection: a descriptor, or an address, as `source` says.
        stream: u64,
        /// The HTTP/2 stream on it; 0 for HTTP/1.
        substream: u32,
        /// The status; 0 for a request, and for trailers.
        status: u16,
        /// A [`Source`].
        source: u8,
        /// Bits of [`message`].
        flags: u8,
        /// The length of the method in bytes, at most [`METHOD_MAX`].
        method_len: u8,
        /// The length of the path in bytes, at most [`PATH_MAX`]. It has no query.
        path_len: u8,
        /// The number of values that follow, at most [`VALUES_MAX`].
        values: u8,
        /// The gRPC status; [`NO_GRPC_STATUS`] where there is none.
        grpc_status: u8,
        /// 0.
        zero: u32,
    }

    /// A connection changed.
    Stream: 10 = 48 {
        /// Every record's start.
        head: Head,
        /// The connection: a descriptor, or an address, as `source` says.
        stream: u64,
        /// A [`Source`].
        source: u8,
        /// A [`Change`].
        change: u8,
        /// 0.
        zero: [u8; 6],
    }

    /// The target wrote to its standard output or error. Followed by as many of the bytes as `len` says; the
    /// record ends there. A call that wrote many has several records, one after the other.
    Print: 11 = 48 {
        /// Every record's start.
        head: Head,
        /// The number of bytes that the same call wrote after these and that no record holds.
        missing: u64,
        /// The number of bytes that follow, at most [`PRINT_MAX`].
        len: u16,
        /// The descriptor: 1 or 2.
        descriptor: u8,
        /// 1 if the last one of the missing bytes ended a line.
        ends_line: u8,
        /// 0.
        zero: u32,
    }
}

/// The most bytes that follow a [`Print`].
pub const PRINT_MAX: usize = 1024;

/// The longest method that a [`Message`] holds, in bytes.
pub const METHOD_MAX: usize = 16;
/// The longest path that a [`Message`] holds, in bytes; a longer one is cut.
pub const PATH_MAX: usize = 192;
/// The most values that a [`Message`] holds.
pub const VALUES_MAX: usize = 4;
/// The longest value that a [`Message`] holds, in bytes; a longer one is cut.
pub const VALUE_MAX: usize = 128;
/// The bytes of a task's id at the end of a [`Message`], with [`message::BY`].
pub const BY_LEN: usize = 8;
/// The longest [`Message`] in bytes, with all that follows it.
pub const MESSAGE_MAX: usize =
    size_of::<Message>() + METHOD_MAX + PATH_MAX + VALUES_MAX * (size_of::<ValueHead>() + VALUE_MAX) + BY_LEN;
/// [`Message::grpc_status`] where there is none.
pub const NO_GRPC_STATUS: u8 = u8::MAX;

/// The head of each value that follows a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)
)]
#[repr(C)]
pub struct ValueHead {
    /// The header: its place in the list of allowed names that the agent handed down. With [`VALUE_CUT`]
    /// set, the value was longer.
    pub name: u8,
    /// The length of the value in bytes, at most [`VALUE_MAX`].
    pub len: u8,
}

/// The bit of [`ValueHead::name`] that says that the value was longer.
pub const VALUE_CUT: u8 = 0x80;

/// The place at which a connection was observed, which says what its key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "user", derive(zerocopy::TryFromBytes))]
#[repr(u8)]
pub enum Source {
    /// System calls on a descriptor.
    Descriptor = 0,
    /// The plain side of a TLS connection, by the address of its state.
    Tls = 1,
    /// HTTP/2 header blocks, by the address of their connection's state.
    Http2 = 2,
}

/// A change of a connection; the value of [`Stream::change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(zerocopy::TryFromBytes))]
#[repr(u8)]
pub enum Change {
    /// It is gone, and its key may be used for another.
    Closed = 0,
    /// It cannot be followed further (until the next message on it): where messages begin is not known.
    Lost = 1,
    /// It left HTTP/1 (an upgrade, CONNECT, or HTTP/2 from the start).
    Left = 2,
}

/// The most bytes of a stack in a [`Sample`].
pub const STACK_MAX: usize = 32 << 10;
/// The most bytes that are taken of an off-CPU thread's stack.
pub const OFF_CPU_STACK_MAX: usize = 16 << 10;
/// From how many nanoseconds on the stack of an off-CPU thread is reported.
pub const LONG_NS: u64 = 1_000_000;

/// The most frames of a chain in a record.
pub const FRAMES_MAX: usize = 48;
