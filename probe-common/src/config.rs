//! What the agent hands down to the programs: cookies.
//!
//! A cookie says what one hook's instruction means, so that one program serves all hooks of its kind.

/// What is to be seen at a hook on a state transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Watch {
    /// Transitions out of RUNNING: the ends of polls.
    PollEnd = 0,
    /// Every use of a waker.
    Wake = 1,
    /// Transitions into CANCELLED.
    Abort = 2,
}

/// The cookie of a hook on the instruction after a `lock cmpxchg` on a task's state word.
///
/// There, RAX holds the old word, ZF whether the exchange took place, and two other registers the
/// header's address and the new word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitionCookie {
    /// What is to be seen.
    pub watch: Watch,
    /// The register with the header: its place in the kernel's `pt_regs`, in words.
    pub header: u8,
    /// The register with the new state word, numbered alike.
    pub new: u8,
    /// Where the return address of the outermost hooked function is, in bytes above the stack pointer.
    pub caller: Option<u16>,
}

impl TransitionCookie {
    const NO_CALLER: u16 = u16::MAX;

    /// Packs the cookie.
    #[must_use]
    pub const fn pack(self) -> u64 {
        let caller = match self.caller {
            Some(offset) => offset,
            None => Self::NO_CALLER,
        };
        self.watch as u64 | ((self.header as u64) << 8) | ((self.new as u64) << 16) | ((caller as u64) << 32)
    }

    /// Unpacks the cookie; an unknown `watch` reads as [`Watch::PollEnd`].
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        let caller = (cookie >> 32) as u16;
        Self {
            watch: match cookie as u8 {
                1 => Watch::Wake,
                2 => Watch::Abort,
                _ => Watch::PollEnd,
            },
            header: (cookie >> 8) as u8 & 31,
            new: (cookie >> 16) as u8 & 31,
            caller: if caller == Self::NO_CALLER { None } else { Some(caller) },
        }
    }
}

/// The cookie of a hook at the entry of a function that makes a transition, where the state before is
/// read and the state after foretold: for builds in which no exchange instruction can be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum EntryCookie {
    /// `waker::wake_by_val` or `wake_by_ref`.
    Wake = 0,
    /// `State::transition_to_idle`.
    Idle = 1,
    /// `State::transition_to_complete`.
    Complete = 2,
    /// `State::transition_to_notified_and_cancel`.
    Abort = 3,
}

/// By which way a new task goes to its scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpawnWay {
    /// `OwnedTasks::bind_inner`.
    Owned = 0,
    /// The blocking pool's `Spawner::spawn_task`.
    Blocking = 1,
    /// `LocalSet`'s `Shared::schedule`; passed by woken tasks too.
    Local = 2,
}

/// The cookie of a spawn hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnCookie {
    /// By which way.
    pub way: SpawnWay,
    /// The register with the header: its place in the kernel's `pt_regs`, in words.
    pub header: u8,
    /// Whether the stack pointer points to the return address, as at a function's entry.
    pub at_entry: bool,
}

impl SpawnCookie {
    /// Packs the cookie.
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.way as u64 | ((self.header as u64) << 8) | ((self.at_entry as u64) << 16)
    }

    /// Unpacks the cookie; an unknown `way` reads as [`SpawnWay::Owned`].
    #[must_use]
    pub const fn unpack(cookie: u64) -> Self {
        Self {
            way: match cookie as u8 {
                1 => SpawnWay::Blocking,
                2 => SpawnWay::Local,
                _ => SpawnWay::Owned,
            },
            header: (cookie >> 8) as u8 & 31,
            at_entry: (cookie >> 16) & 1 != 0,
        }
    }
}
