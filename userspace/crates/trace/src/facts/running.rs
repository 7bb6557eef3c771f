//! Where tokio keeps the id of the task that a thread polls.

use serde::{Deserialize, Serialize};

/// Where tokio keeps the id of the task that a thread polls, in the thread's own memory; 0 or left over
/// while it polls none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentTask {
    /// So many bytes below the address that `%fs` holds.
    pub below: u32,
    /// How often the memory was read during a poll.
    pub looks: u32,
    /// How often the polled task's id stood there.
    pub agree: u32,
    /// How many tasks were looked for.
    pub tasks: u32,
}

/// Where the id of the task that a thread polls stands in the thread's own memory, by the code that writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningTask {
    /// So many bytes below the address that `%fs` holds.
    pub below: u32,
    /// Whether the word before it tells whether there is one: 1 then. Otherwise 0 stands for none.
    pub tagged: bool,
    /// How that was found.
    pub proof: RunningProof,
}

/// How it was found where the running task's id stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum RunningProof {
    /// By the code of poll functions.
    Code {
        /// How many keep it there.
        agree: usize,
        /// How many were asked.
        asked: usize,
        /// Whether a symbol says that it is in tokio's `CONTEXT`.
        in_context: bool,
    },
    /// By looks at the memory of threads that poll.
    Observation {
        /// How often it stood there.
        agree: u32,
        /// How many looks there were.
        looks: u32,
        /// How many tasks were polled.
        tasks: u32,
    },
    /// Not kept by the version that wrote the recording.
    #[default]
    Unknown,
}

/// Why it is not known where the running task's id stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum RunningUnknown {
    /// No poll function is seen to keep it in the executable's own thread-local memory.
    NotKept {
        /// How many were asked.
        asked: usize,
    },
    /// Poll functions keep it at several places.
    Places {
        /// How many.
        count: usize,
    },
    /// The code's place is outside of the executable's thread-local variables.
    Outside {
        /// So many bytes below the address that `%fs` holds.
        below: u32,
    },
    /// The code's place is not in tokio's `CONTEXT` by its symbol.
    NotInContext {
        /// So many bytes below the address that `%fs` holds.
        below: u32,
    },
    /// The code keeps ids with a tag, or without one, and this tokio does not.
    Tag {
        /// Whether the code keeps one.
        tagged: bool,
        /// tokio's version.
        tokio: String,
    },
    /// The code's place is another than that which was observed.
    Contradicted {
        /// That of the code: so many bytes below the address that `%fs` holds.
        code: u32,
        /// That which was observed.
        observed: u32,
    },
    /// It was not looked for.
    #[default]
    NotLookedFor,
}
