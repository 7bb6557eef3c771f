//! What is to be armed: which program at which instruction, with which cookie.

use probe_common::config::Http2Layout;
use serde::{Deserialize, Serialize};

use super::{
    addr::{ElfAddr, FileOffset},
    vtables::Vtable,
};
use asyncscope_trace::facts::{
    CurrentTask, DriverCode, Hook, ImageId, RunningTask, RunningUnknown, TaskKind, TaskType, Tracepoints,
};

/// The eBPF programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Program {
    /// At a poll's start.
    PollStart,
    /// At a poll's start, telling what the task awaited until then.
    PollStartChain,
    /// After an exchange of a task's state word.
    Transition,
    /// At the entry of a function that makes a transition.
    TransitionEntry,
    /// Where a poll function returns.
    PollExit,
    /// Where a new task goes to its scheduler.
    Spawn,
    /// The same, telling which task the thread runs by tokio's own word.
    SpawnBy,
    /// Where the runtime shuts a task down.
    Shutdown,
    /// Where a panic starts to unwind.
    PanicStart,
    /// After a system call that moves bytes.
    Transfer,
    /// At a system call that makes, ends or duplicates descriptors. Armed after [`Self::Transfer`]: what
    /// goes through a descriptor that was seen to begin is seen whole.
    Descriptor,
    /// Where a driver's turn begins, and where it has returned.
    Turn,
    /// Where an HTTP/2 header block passes.
    Http2Head,
    /// After a system call that writes, for what goes to standard output and error.
    Print,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::PollStart,
        Self::PollStartChain,
        Self::Transition,
        Self::TransitionEntry,
        Self::PollExit,
        Self::Spawn,
        Self::SpawnBy,
        Self::Shutdown,
        Self::PanicStart,
        Self::Turn,
        Self::Transfer,
        Self::Descriptor,
        Self::Http2Head,
        Self::Print,
    ];

    /// Whether it is for HTTP alone, and can be left out.
    #[must_use]
    pub const fn sees_http(self) -> bool {
        matches!(self, Self::Transfer | Self::Descriptor | Self::Http2Head)
    }

    /// Whether nothing can be seen of tasks without it.
    #[must_use]
    pub const fn is_needed(self) -> bool {
        !self.sees_http() && !matches!(self, Self::Print)
    }

    /// Its name in the eBPF object.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PollStart => "poll_start",
            Self::PollStartChain => "poll_start_chain",
            Self::Transition => "transition",
            Self::TransitionEntry => "transition_entry",
            Self::PollExit => "poll_exit",
            Self::Spawn => "spawn",
            Self::SpawnBy => "spawn_by",
            Self::Shutdown => "shutdown",
            Self::PanicStart => "panic_start",
            Self::Turn => "turn",
            Self::Transfer => "transfer",
            Self::Descriptor => "descriptor",
            Self::Http2Head => "http2_head",
            Self::Print => "print",
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
    /// What is known of these probes, and what is missing.
    pub hooks: Vec<Hook>,
    /// The paths of libraries that have hooks, or lack them: see [`Self::image`].
    #[serde(skip)]
    pub libraries: Vec<String>,
    /// The kinds of tasks whose spawns may pass none of them.
    pub unseen_spawns: Vec<TaskKind>,
    /// The runtime's own users of wakers. Their addresses are the file's.
    pub drivers: Vec<DriverCode>,
    /// How many bytes the executable's thread-local variables take.
    pub thread_local: u32,
    /// Where tokio keeps the running task's id among them, once that was observed.
    pub current_task: Option<CurrentTask>,
    /// Where it stands by the code that writes it.
    pub running: Option<RunningTask>,
    /// Why that is not known, where it is not.
    pub running_unknown: RunningUnknown,
    /// tokio's version.
    pub tokio: Option<String>,
    /// The implementation of TLS in it, if there is one: what goes through its connections is encrypted
    /// where system calls show it.
    pub tls: Option<String>,
    /// Why system calls have to be seen by the kernel's tracepoints, if they have to: no hook of this plan
    /// sees them then. Decided for each process anew, as it is not of the executable alone.
    #[serde(skip)]
    pub tracepoints: Option<Tracepoints>,
    /// Functions in which a thread is while it polls, but for those that poll only the runtime's own
    /// tasks.
    pub poll_code: Vec<(ElfAddr, u64)>,
    /// Whether other tokios are in it, which are not watched.
    pub several_tokios: bool,
    /// The poll functions, and what they become by jumping on, with their lengths in bytes and the vtables of
    /// the tasks that each polls.
    pub polls: Vec<(ElfAddr, u64, Vec<ElfAddr>)>,
    /// How HTTP/2 header blocks lie in memory, where they are seen.
    #[serde(with = "bytes")]
    pub http2: Option<Http2Layout>,
}

impl Plan {
    /// The number of a library, which it gets the first time.
    pub fn image(&mut self, library: &str) -> ImageId {
        let known = self.libraries.iter().position(|path| path == library);
        let place = known.unwrap_or_else(|| {
            self.libraries.push(library.to_owned());
            self.libraries.len() - 1
        });
        ImageId(u32::try_from(place + 1).unwrap_or(u32::MAX))
    }

    /// The paths of all files by their numbers.
    #[must_use]
    pub fn images(&self, executable: &str) -> Vec<String> {
        std::iter::once(executable.to_owned()).chain(self.libraries.iter().cloned()).collect()
    }
}

/// The layout as the bytes that the programs get.
mod bytes {
    use probe_common::config::Http2Layout;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};
    use zerocopy::{FromBytes as _, IntoBytes as _};

    pub(super) fn serialize<S: Serializer>(layout: &Option<Http2Layout>, to: S) -> Result<S::Ok, S::Error> {
        layout.as_ref().map(|layout| layout.as_bytes()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Http2Layout>, D::Error> {
        let Some(bytes) = Option::<Vec<u8>>::deserialize(from)? else { return Ok(None) };
        let layout = Http2Layout::read_from_bytes(&bytes).map_err(|_| D::Error::custom("a layout of another size"))?;
        Ok(Some(layout))
    }
}
