//! The records that the programs write into the ring buffers.
//!
//! Every record starts with a [`Head`]. All fields are in the machine's byte order, have no padding
//! between them, and are plain integers: any bytes are a valid record, so reading one cannot fail for
//! another reason than its length.

/// What kind of record follows a [`Head`]; the value of [`Head::kind`].
///
/// Values are never reused: recordings hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// [`PollStart`]
    PollStart = 1,
    /// [`PollEnd`]
    PollEnd = 2,
    /// [`Wake`]
    Wake = 3,
    /// [`Abort`]
    Abort = 4,
    /// [`Spawn`]
    Spawn = 5,
    /// [`Shutdown`]
    Shutdown = 6,
    /// [`Panic`]
    Panic = 7,
    /// [`PollExit`]
    PollExit = 8,
}

impl Kind {
    /// The kind with this number, if there is one.
    #[must_use]
    pub const fn from_u8(kind: u8) -> Option<Self> {
        Some(match kind {
            1 => Self::PollStart,
            2 => Self::PollEnd,
            3 => Self::Wake,
            4 => Self::Abort,
            5 => Self::Spawn,
            6 => Self::Shutdown,
            7 => Self::Panic,
            8 => Self::PollExit,
            _ => return None,
        })
    }
}

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident = $size:literal { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* })*) => {
        $(
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
        /// When, in nanoseconds of `CLOCK_MONOTONIC`, read after `seq` was taken.
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
    PollStart = 64 {
        /// Every record's start.
        head: Head,
        /// The task.
        task: Task,
        /// The state word at the entry.
        state: u64,
    }

    /// The task left RUNNING: the poll is over. COMPLETE in `new` tells whether the task is.
    PollEnd = 72 {
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
    Wake = 80 {
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

    /// The task was asked to cancel, by `abort` on a handle.
    Abort = 72 {
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
    Spawn = 72 {
        /// Every record's start.
        head: Head,
        /// The new task.
        task: Task,
        /// Its state word.
        state: u64,
        /// The return address of the hooked function: inside the code that spawns. 0: not known.
        caller: u64,
    }

    /// The runtime shuts the task down: `Vtable::shutdown` was entered.
    Shutdown = 64 {
        /// Every record's start.
        head: Head,
        /// The task.
        task: Task,
        /// The state word at the entry.
        state: u64,
    }

    /// A panic starts to unwind on this thread.
    Panic = 32 {
        /// Every record's start.
        head: Head,
    }

    /// `raw::poll` returns. Only where no [`PollEnd`] can be seen in a build.
    PollExit = 32 {
        /// Every record's start.
        head: Head,
    }
}

/// Bits of [`Head::flags`].
pub mod flags {
    /// The state after was not seen but follows from the state before, as read at a function's entry.
    pub const PREDICTED: u8 = 1;
    /// The spawn was seen on the blocking pool's way in.
    pub const BLOCKING: u8 = 2;
    /// The spawn was seen on a `LocalSet`'s way in, where a task may also pass when it is woken.
    pub const LOCAL: u8 = 4;
    /// The waker was no longer owned when the header was read: the task may have been freed meanwhile.
    pub const UNOWNED: u8 = 8;
}

/// The bits of a task's state word.
///
/// Source: <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L15-L65>
pub mod state {
    /// The task is being polled, or torn down.
    pub const RUNNING: u64 = 1;
    /// The future is done and dropped; never unset.
    pub const COMPLETE: u64 = 2;
    /// A `Notified` for the task exists: it is in a queue, or will be after its poll.
    pub const NOTIFIED: u64 = 4;
    /// The `JoinHandle` is alive.
    pub const JOIN_INTEREST: u64 = 8;
    /// The `JoinHandle`'s waker is set.
    pub const JOIN_WAKER: u64 = 16;
    /// The task is to be cancelled.
    pub const CANCELLED: u64 = 32;
    /// One reference; the count fills the rest of the word.
    pub const REF_ONE: u64 = 64;
    /// The state word of a new task.
    pub const INITIAL: u64 = (3 * REF_ONE) | JOIN_INTEREST | NOTIFIED;
}
