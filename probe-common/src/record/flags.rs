//! Bits of [`Head::flags`](super::Head::flags).

/// The state after was not seen but follows from the state before, as read at a function's entry.
pub const PREDICTED: u8 = 1;
/// The spawn was seen on the blocking pool's way in.
pub const BLOCKING: u8 = 2;
/// The spawn was seen on a `LocalSet`'s way in, where a task may also pass when it is woken.
pub const LOCAL: u8 = 4;
/// The waker was no longer owned when the header was read: the task may have been freed meanwhile.
pub const UNOWNED: u8 = 8;
/// The id of the task that the thread runs could not be read.
pub const ID_UNREADABLE: u8 = 16;
/// The thread was in the kernel: in a system call, a fault or an interrupt.
pub const IN_KERNEL: u8 = 32;
/// The work that follows the last completion on this thread was going on: the task's output was dropped, or
/// its `JoinHandle`'s waker used.
pub const COMPLETING: u8 = 64;
/// Nothing of the kind was going on. With neither, that is not known.
pub const COMPLETED: u8 = 128;
/// Of an off-CPU record, where [`PREDICTED`] means nothing: the thread was in the trap of one of asyncscope's hooks.
pub const IN_TRAP: u8 = 1;
/// Of an off-CPU record: the switch back was not seen, and the record's time is when the thread was found to be back.
pub const END_UNSEEN: u8 = 2;
