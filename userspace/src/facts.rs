//! What is known about a target beside its events: plain data that a recording holds as well.
//!
//! `target` finds these out, `model` is told the few that change what events mean, `view` needs the
//! names. No behaviour lives here.

use serde::{Deserialize, Serialize};

/// Everything known about the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The process.
    pub process: Process,
    /// The moment the hooks were armed.
    pub armed: Moment,
    /// Whether the target was watched from its first instruction on (`run`), not attached to.
    pub from_first_instruction: bool,
    /// tokio's version, where it is known, such as `1.54.1`.
    pub tokio: Option<String>,
    /// The task types, one for each task vtable.
    pub types: Vec<TaskType>,
    /// Code that uses wakers on the runtime's behalf.
    pub drivers: Vec<DriverCode>,
    /// The threads alive when the hooks were armed.
    pub threads: Vec<Thread>,
    /// The hooks that were armed, and those that could not be.
    pub hooks: Vec<Hook>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Its id, as the agent sees it.
    pub pid: u32,
    /// Its command name.
    pub name: String,
    /// Its executable, as the kernel names it.
    pub executable: String,
    /// The executable's GNU build id in hexadecimal, if it has one.
    pub build_id: Option<String>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moment {
    /// Nanoseconds of `CLOCK_MONOTONIC`, as events have them.
    pub monotonic_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
}

/// A task type: a future and the scheduler it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskType {
    /// Where its vtable lies in the target's memory. This is the type's key.
    pub vtable: u64,
    /// The future, as a person would call it. Never empty: without symbols it is `task#<vtable's ELF
    /// address in hexadecimal>`.
    pub name: String,
    /// All names that share this code, where the linker folded several into one; else empty.
    pub folded: Vec<String>,
    /// Where the name comes from: `symbols`, `v0 symbol`, `dwarf`, either of these followed by `in debug
    /// file <path>`, or `vtable` where there is none but its address.
    pub named_by: String,
    /// What runs it.
    pub kind: TaskKind,
    /// Whether it is the runtime's own: a worker thread of the multi-thread scheduler, which is a
    /// blocking task that polls others. Never a parent and never a waker.
    pub runtime: bool,
}

/// What runs a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A scheduler's workers (`tokio::spawn`).
    Spawned,
    /// A `LocalSet`.
    Local,
    /// The blocking pool.
    Blocking,
    /// Not known.
    #[default]
    Unknown,
}

/// A stretch of the target's code that uses wakers on the runtime's behalf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverCode {
    /// Its first address in the target's memory.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// What it is.
    pub driver: Driver,
}

/// The parts of the runtime that wake tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// Readiness of sockets and the like.
    Io,
    /// Timers.
    Time,
    /// Wakes put off until after the poll (`yield_now`, an exhausted coop budget): the task's own.
    Deferred,
}

/// A thread of the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its id in the initial pid namespace.
    pub tid: u32,
    /// Its name.
    pub name: String,
}

/// A hook: an instruction at which a probe sits, or the reason why none does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// What it sees: `poll-start`, `poll-end`, `wake`, `abort`, `spawn`, `shutdown`, `panic`.
    pub sees: String,
    /// The ELF address of the instruction; `None` where there is no such hook.
    pub address: Option<u64>,
    /// The instruction in AT&T syntax.
    pub instruction: String,
    /// Whether the kernel emulates the instruction, which is several times cheaper than stepping it.
    pub emulated: bool,
    /// How it was found, or why it could not be.
    pub how: String,
}
