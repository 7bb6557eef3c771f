//! The plan of hooks: programs, the instructions to attach them to, and their cookies.

use probe_common::config::Http2Layout;
use serde::{Deserialize, Serialize};

use super::{plan_key::PlanKey, vtables::Vtable};
use crate::{
    addr::{ElfAddr, FileOffset},
    syscalls::c_library::CLibrary,
};
use asyncscope_trace::facts::{
    CurrentTask, DriverCode, FunctionStarts, Hook, ImageId, RunningTask, RunningUnknown, TaskKind, TaskType,
    TlsLibrary, Tracepoints,
};

/// Declares the programs, each with its name in the eBPF object and what it is for. Their order is the one in which
/// they are armed.
macro_rules! programs {
    ($($(#[$doc:meta])* $program:ident = $name:literal for $purpose:ident;)*) => {
        /// The eBPF programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Program {
            $($(#[$doc])* $program,)*
        }

        impl Program {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($program)),*].len()] = [$(Self::$program),*];

            /// Returns its name in the eBPF object.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$program => $name,)*
                }
            }

            const fn purpose(self) -> Purpose {
                match self {
                    $(Self::$program => Purpose::$purpose,)*
                }
            }
        }
    };
}

/// The purpose of a program.
#[derive(Clone, Copy)]
enum Purpose {
    /// All that is seen of tasks.
    Tasks,
    /// HTTP alone.
    Http,
    /// Standard output and error.
    Prints,
}

impl Program {
    /// Returns `true` for a program that is for HTTP alone, and can be left out.
    #[must_use]
    pub const fn sees_http(self) -> bool {
        matches!(self.purpose(), Purpose::Http)
    }

    /// Returns `true` for a program without which nothing can be seen of tasks.
    #[must_use]
    pub const fn is_needed(self) -> bool {
        matches!(self.purpose(), Purpose::Tasks)
    }
}

programs! {
    /// At a poll's start.
    PollStart = "poll_start" for Tasks;
    /// At a poll's start, telling what the task awaited until then.
    PollStartChain = "poll_start_chain" for Tasks;
    /// After an exchange of a task's state word.
    Transition = "transition" for Tasks;
    /// At the entry of a function that makes a transition.
    TransitionEntry = "transition_entry" for Tasks;
    /// At a poll function's return.
    PollExit = "poll_exit" for Tasks;
    /// At the point a new task goes to its scheduler.
    Spawn = "spawn" for Tasks;
    /// As [`Self::Spawn`], telling which task the thread runs as tokio's `CONTEXT` reports it.
    SpawnBy = "spawn_by" for Tasks;
    /// At the point the runtime shuts a task down.
    Shutdown = "shutdown" for Tasks;
    /// At the point a panic starts to unwind.
    PanicStart = "panic_start" for Tasks;
    /// After a system call that moves bytes.
    Transfer = "transfer" for Http;
    /// At a system call that makes, ends or duplicates descriptors. Armed after [`Self::Transfer`]: what
    /// goes through a descriptor that was seen to begin is seen whole.
    Descriptor = "descriptor" for Http;
    /// At the beginning of a driver's turn, and after it has returned.
    Turn = "turn" for Tasks;
    /// At the point an HTTP/2 header block passes.
    Http2Head = "http2_head" for Http;
    /// After a system call that writes, for what goes to standard output and error.
    Print = "print" for Prints;
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
    /// The facts about this place that the program needs to know.
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
    /// The facts known of these probes, and those that are missing.
    pub hooks: Vec<Hook>,
    /// The paths of libraries that have hooks, or lack them: see [`Self::image`].
    #[serde(skip)]
    pub libraries: Vec<String>,
    /// The number of task types of which some spawns pass none of them.
    pub unseen_types: usize,
    /// The kinds of tasks whose spawns may pass none of them.
    pub unseen_spawns: Vec<TaskKind>,
    /// The runtime's own users of wakers. Their addresses are the file's.
    pub drivers: Vec<DriverCode>,
    /// The number of bytes the executable's thread-local variables take.
    pub thread_local: u32,
    /// The place among them of the running task's id, as tokio keeps it, once that was observed.
    pub current_task: Option<CurrentTask>,
    /// Its place by the code that writes it.
    pub running: Option<RunningTask>,
    /// The reason that is not known, if it is not.
    pub running_unknown: RunningUnknown,
    /// tokio's version, if one alone is named.
    pub tokio: Option<String>,
    /// The versions of tokio whose sources are named in it.
    pub tokio_versions: Vec<String>,
    /// The implementation of TLS in it, if there is one: what goes through its connections is encrypted
    /// where system calls show it.
    pub tls: Option<TlsLibrary>,
    /// The C library that it is linked with, by the file alone.
    pub c_library: CLibrary,
    /// The reason system calls have to be seen by the kernel's tracepoints, if they have to: no hook of this plan
    /// sees them then. Decided for each process anew, as it is not of the executable alone.
    #[serde(skip)]
    pub tracepoints: Option<Tracepoints>,
    /// Functions in which a thread is while it polls, but for those that poll only the runtime's own
    /// tasks.
    pub poll_code: Vec<(ElfAddr, u64)>,
    /// The way in which the starts of its functions are known.
    pub starts: FunctionStarts,
    /// Set if other tokios are in it, which are not watched.
    pub several_tokios: bool,
    /// The poll functions, and what they become by jumping on, with their lengths in bytes and the vtables of
    /// the tasks that each polls.
    pub polls: Vec<(ElfAddr, u64, Vec<ElfAddr>)>,
    /// The name that it is kept by for later runs, if it is kept.
    #[serde(skip)]
    pub kept_as: Option<PlanKey>,
    /// The layout of HTTP/2 header blocks in memory, if they are seen.
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

    /// The plan of a library that is watched in the place of its process's executable, which has this C library. In a
    /// library no variable of a thread is at a fixed distance from `%fs`.
    #[must_use]
    pub fn of_library(self, library: &str, c_library: CLibrary) -> Self {
        let mut plan = Self {
            c_library,
            thread_local: 0,
            current_task: None,
            running: None,
            running_unknown: RunningUnknown::InLibrary,
            ..self
        };
        let image = plan.image(library);
        plan.hooks.iter_mut().for_each(|hook| hook.image = image);
        plan.types.iter_mut().for_each(|ty| ty.key.image = image);
        plan
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

    #[expect(clippy::ref_option, reason = "serde hands a field over so")]
    pub(super) fn serialize<S: Serializer>(layout: &Option<Http2Layout>, to: S) -> Result<S::Ok, S::Error> {
        layout.as_ref().map(Http2Layout::as_bytes).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Http2Layout>, D::Error> {
        let Some(bytes) = Option::<Vec<u8>>::deserialize(from)? else { return Ok(None) };
        let layout = Http2Layout::read_from_bytes(&bytes).map_err(|_| D::Error::custom("a layout of another size"))?;
        Ok(Some(layout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asyncscope_trace::facts::{CurrentTask, MissingReason, RunningProof, RunningTask, Sees};

    #[test]
    fn a_librarys_plan_names_it_and_knows_no_thread_local_place() {
        let proof = RunningProof::Code { agree: 1, asked: 1, in_context: true };
        let plan = Plan {
            hooks: vec![Hook::missing(Sees::Wake, ImageId::EXECUTABLE, MissingReason::NoWaker)],
            types: vec![TaskType::default()],
            thread_local: 0x40,
            current_task: Some(CurrentTask::default()),
            running: Some(RunningTask { below: 8, tagged: false, proof }),
            ..Plan::default()
        };
        let c_library = CLibrary { loader: Some("/lib/ld.so".to_owned()), musl: false, beside: true };
        let plan = plan.of_library("/l.so", c_library.clone());
        assert_eq!((plan.hooks[0].image, plan.types[0].key.image), (ImageId(1), ImageId(1)));
        assert_eq!(plan.images("/bin/python"), ["/bin/python", "/l.so"]);
        assert_eq!((plan.c_library.clone(), plan.thread_local, plan.current_task), (c_library, 0, None));
        assert_eq!(plan.running_task(), Err(RunningUnknown::InLibrary));
    }
}
