//! What is to be armed: which program at which instruction, with which cookie.

use serde::{Deserialize, Serialize};

use super::{
    addr::{ElfAddr, FileOffset},
    vtables::Vtable,
};
use crate::facts::{DriverCode, Hook, TaskType};

/// The eBPF programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Program {
    /// At a poll's start.
    PollStart,
    /// After an exchange of a task's state word.
    Transition,
    /// At the entry of a function that makes a transition.
    TransitionEntry,
    /// Where a poll function returns.
    PollExit,
    /// Where a new task goes to its scheduler.
    Spawn,
    /// Where the runtime shuts a task down.
    Shutdown,
    /// Where a panic starts to unwind.
    PanicStart,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PollStart,
        Self::Transition,
        Self::TransitionEntry,
        Self::PollExit,
        Self::Spawn,
        Self::Shutdown,
        Self::PanicStart,
    ];

    /// Its name in the eBPF object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PollStart => "poll_start",
            Self::Transition => "transition",
            Self::TransitionEntry => "transition_entry",
            Self::PollExit => "poll_exit",
            Self::Spawn => "spawn",
            Self::Shutdown => "shutdown",
            Self::PanicStart => "panic_start",
        }
    }
}

/// One probe to be placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The program to run.
    pub program: Program,
    /// The instruction.
    pub address: ElfAddr,
    /// The instruction's place in the file.
    pub offset: FileOffset,
    /// The instruction's bytes in the file.
    pub bytes: Vec<u8>,
    /// What the program needs to know of this place.
    pub cookie: u64,
}

/// All that discovery found in an executable, in its own addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The task vtables.
    pub vtables: Vec<Vtable>,
    /// A name and kind for each vtable, in the same order. Their addresses are the file's.
    pub types: Vec<TaskType>,
    /// The probes to be placed; no two of one program at one address.
    pub placements: Vec<Placement>,
    /// The same, and what is missing, for people.
    pub hooks: Vec<Hook>,
    /// The runtime's own users of wakers. Their addresses are the file's.
    pub drivers: Vec<DriverCode>,
    /// tokio's version.
    pub tokio: Option<String>,
    /// Functions in which a thread is while it polls, but for those that poll only the runtime's own
    /// tasks.
    pub poll_code: Vec<(ElfAddr, u64)>,
}
