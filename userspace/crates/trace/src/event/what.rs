//! What can happen, where word of it comes from, and what it shows of the thread's stack.

use super::{
    ChainFrame, Change, Completion, Connection, Ended, Message, Moment, Print, Running, SpawnWay, State, TaskRef,
    table::events,
};
use crate::facts::Function;

macro_rules! define {
    ($($(#[$doc:meta])* $event:ident $({ $($(#[$field_doc:meta])* $field:ident: $ty:ty),* })?
        $(($inner:ident: $of:ty))? in $file:ident, from $origin:ident, shows $reach:ident;)*) => {
        /// The kinds of events, with their details.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum What {
            $($(#[$doc])* $event $({ $($(#[$field_doc])* $field: $ty),* })? $(($of))?,)*
        }

        impl What {
            /// Returns where word of the event comes from.
            #[must_use]
            pub const fn origin(&self) -> Origin {
                match self {
                    $(Self::$event { .. } => Origin::$origin,)*
                }
            }

            /// Returns which functions the event proves to have returned; `None` where it says nothing of the stack,
            /// or its frame has to be found first.
            #[must_use]
            pub const fn stack_reach(&self) -> Option<Reach> {
                match self {
                    $(Self::$event { .. } => reach!($reach),)*
                }
            }
        }
    };
}

macro_rules! reach {
    (Nothing) => {
        None
    };
    ($reach:ident) => {
        Some(Reach::$reach)
    };
}

events!(define);

/// The origin of word of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A program in the kernel, which gave it a number on its CPU. The thread was on that CPU.
    Probe,
    /// The agent, which saw the thread itself. It has no number.
    Agent,
    /// The agent's own accounts: what others refer to, what a thread is called, what is missing. They have no number,
    /// hold beyond their time, and say nothing of what the thread did then.
    Bookkeeping,
}

/// The functions that an event proves to have returned, by its stack pointer. The stack grows down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The hook sits in a function of its own, called from the frame or after it: what runs inside
    /// a frame is strictly below its entry.
    Callee,
    /// The hook may sit in the frame's own function, at the very stack pointer of its entry.
    SameFunction,
}

impl Reach {
    /// Returns `true` if an event at `sp` shows that the function has returned which was entered at `entry`.
    #[must_use]
    pub const fn is_above(self, entry: u64, sp: u64) -> bool {
        match self {
            Self::Callee => entry <= sp,
            Self::SameFunction => entry < sp,
        }
    }
}
