//! Where tokio keeps the id of the task that a thread polls.

use serde::{Deserialize, Serialize};

/// The place where tokio keeps the id of the task that a thread polls, in the thread's own memory; 0 or left over
/// while it polls none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentTask {
    /// The number of bytes below the address that `%fs` holds.
    pub below: u32,
    /// The number of times the memory was read during a poll.
    pub looks: u32,
    /// The number of times the polled task's id stood there.
    pub agree: u32,
    /// The number of tasks looked for.
    pub tasks: u32,
}

/// The place in a thread's own memory of the id of the task that it polls, by the code that writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    /// The number of bytes below the address that `%fs` holds.
    pub below: u32,
    /// True if the word before it says whether there is one: 1 then. Otherwise 0 stands for none.
    pub tagged: bool,
    /// The way in which that was found.
    pub proof: RunningProof,
}

/// The way in which the place of the running task's id was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum RunningProof {
    /// By the code of poll functions.
    Code {
        /// The number of those that keep it there.
        agree: usize,
        /// The number of those asked.
        asked: usize,
        /// True if a symbol says that it is in tokio's `CONTEXT`.
        in_context: bool,
    },
    /// By looks at the memory of threads that poll.
    Observation {
        /// The number of times it stood there.
        agree: u32,
        /// The number of looks.
        looks: u32,
        /// The number of tasks polled.
        tasks: u32,
    },
}

/// The reason why it is not known where the running task's id stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum RunningUnknown {
    /// No poll function is seen to keep it in the executable's own thread-local memory.
    NotKept {
        /// The number of those asked.
        asked: usize,
    },
    /// This tokio is a library's, whose thread-local variables are at no fixed distance from where `%fs` points.
    InLibrary,
    /// Poll functions keep it at several places.
    Places {
        /// The number of places.
        count: usize,
    },
    /// The code's place is outside of the executable's thread-local variables.
    Outside {
        /// The number of bytes below the address that `%fs` holds.
        below: u32,
    },
    /// The code's place is not in tokio's `CONTEXT` by its symbol.
    NotInContext {
        /// The number of bytes below the address that `%fs` holds.
        below: u32,
    },
    /// The code keeps ids with a tag, or without one, and this tokio does not.
    Tag {
        /// True if the code keeps one.
        tagged: bool,
        /// tokio's version.
        tokio: String,
    },
    /// The code's place is another than that which was observed.
    Contradicted {
        /// That of the code: this many bytes below the address that `%fs` holds.
        code: u32,
        /// That which was observed.
        observed: u32,
    },
    /// It was not looked for.
    #[default]
    NotLookedFor,
}
