//! Reasons that a target cannot be watched: each a sentence that says what happened and what to do.

use thiserror::Error;

/// A reason that a target cannot be watched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// There is no such process.
    #[error("there is no process {0}: check the pid with `ps -p {0}`")]
    NoSuchProcess(u32),
    /// No process has that name.
    #[error("there is no process named {0:?}: give its pid, or its name as in /proc/<pid>/comm")]
    NoSuchName(String),
    /// No process has that id in the pid namespace.
    #[error(
        "there is no process {pid} in the pid namespace of process {member}: check with `grep NSpid /proc/*/status`"
    )]
    NotInNamespace {
        /// The id looked for.
        pid: u32,
        /// The process whose namespace it is.
        member: u32,
    },
    /// Several processes have that name.
    #[error("{} processes are named {name:?}: {}; give one pid", list.len(), listed(list))]
    Ambiguous {
        /// The name.
        name: String,
        /// Their ids and executables.
        list: Vec<(u32, String)>,
    },
    /// The process is a zombie or a kernel thread: it has no executable.
    #[error("process {0} has no executable (it is a kernel thread, or has already ended)")]
    NoExecutable(u32),
    /// The kernel knows which memory to put hooks into by the process's first thread.
    /// <https://github.com/torvalds/linux/blob/v6.18/kernel/trace/bpf_trace.c#L3020-L3028>
    #[error("the first thread of process {0} has left: the kernel puts no hooks into a process without it")]
    FirstThreadLeft(u32),
    /// The process ended while it was looked at.
    #[error("process {0} ended while asyncscope was attaching to it")]
    Ended(u32),
    /// The process became another program while it was looked at.
    #[error("process {0} became another program (exec) while asyncscope looked at it: try again")]
    BecameAnother(u32),
    /// The kernel refused.
    #[error("not permitted to look at process {pid}: {refusal}; run asyncscope as root (sudo)")]
    NotPermitted {
        /// The process.
        pid: u32,
        /// The reason.
        refusal: TraceRefusal,
    },
    /// Copies of pages with hooks would not fit under the limit of its memory.
    #[error(
        "the hooks may take {needed} KiB of the memory of process {pid}, whose cgroup {} has {left} KiB left: \
         raise its limit, or the kernel might end the process",
        cgroup.escape_debug()
    )]
    NoRoom {
        /// The process.
        pid: u32,
        /// The cgroup's directory.
        cgroup: String,
        /// The room left in it, in KiB.
        left: u64,
        /// The room that is needed, in KiB.
        needed: u64,
    },
    /// The executable is larger than 4 GiB.
    #[error("{}: is larger than 4 GiB, which asyncscope does not read", file.escape_debug())]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file could not be read.
    #[error("{}: {error}", what.escape_debug())]
    Io {
        /// The path that was being read.
        what: String,
        /// The error. It is no source, for the sentence has it.
        error: std::io::Error,
    },
}

/// A reason that the kernel does not let a process be traced, as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TraceRefusal {
    /// A capability is missing.
    #[error("CAP_SYS_PTRACE is missing")]
    NoCapability,
    /// The capability is there.
    #[error("CAP_SYS_PTRACE is there, but kernel.yama.ptrace_scope or a security module forbids it")]
    Forbidden,
}

/// A reason that a file yields no plan of hooks, as a sentence that the file's name goes before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiscoverError {
    /// No table in it has the shape of a task vtable.
    #[error(
        "is {} in which no tokio was found: none of its {functions} functions with unwind information stand in a table \
         of the shape of tokio's task vtable (seven functions, three offsets), as every tokio since 1.28 has one for \
         each task type",
        if *is_rust { "a Rust program" } else { "a program" }
    )]
    NoTokio {
        /// Set if symbols say that it is a program in Rust.
        is_rust: bool,
        /// The number of its functions with unwind information.
        functions: usize,
    },
}

fn listed(list: &[(u32, String)]) -> String {
    list.iter().map(|(pid, exe)| format!("{pid} ({})", exe.escape_debug())).collect::<Vec<_>>().join(", ")
}
