//! What is known about a target beside its events: plain data that a recording holds as well.
//!
//! `discovery` finds these out, `model` is given the few that change what events mean, `view` makes sentences and
//! pictures of them. No behaviour lives here, and no String that asyncscope words itself.

mod ability;
mod bounded;
mod function;
mod hook;
mod missing;
mod not_seen;
mod running;
mod starts;
mod system_call;
mod task_type;

use serde::{Deserialize, Serialize};

pub use ability::{Ability, Aspect, NoLayouts, Remedy, Shortfall, Support, TlsLibrary, Tracepoints};
pub use bounded::bounded;
pub use function::{Function, FunctionName, INLINED_MAX, NAME_MAX, shortened};
pub use hook::{Hook, HookSite, HookState, Http2Function, ImageId, KnownBy, Proof, Sees, VtableFunction};
pub use missing::{
    BlockPart, Http2Part, Http2Received, Http2Unknown, MissingReason, ReturnUnproved, TaskQueue, Unreadable,
};
pub use not_seen::NotSeen;
pub use running::{CurrentTask, RunningProof, RunningTask, RunningUnknown};
pub use starts::FunctionStarts;
pub use system_call::SystemCall;
pub use task_type::{AsyncBody, BodyStands, NameSource, NamedBy, SourcePlace, TaskType, TypeKey};

/// More task types than these are not searched for, nor read from a recording.
pub const TYPES_MAX: usize = 4096;
/// More names than these are not kept of one task type.
pub const FOLDED_MAX: usize = 256;
/// More code of drivers, or hooks, is no program's.
const PLACES_MAX: usize = 1 << 18;
/// More threads than these no kernel runs: the greatest `pid_max`.
const THREADS_MAX: usize = 1 << 22;
/// More files than these are not looked at.
const IMAGES_MAX: usize = 1 << 12;
/// More headers than these are not recorded.
const HEADERS_MAX: usize = 256;
/// More versions of tokio are in no program.
const VERSIONS_MAX: usize = 64;
/// As many as [`TaskKind`] has.
const KINDS: usize = 4;

/// Everything known about the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The process.
    pub process: ProcessFacts,
    /// The mark that distinguishes this run from all others: 32 random hexadecimal digits.
    pub run: String,
    /// The moment the hooks were armed.
    pub armed: ClockPair,
    /// Later moments at which the two clocks were found to be further apart, or closer, than before: the
    /// wall clock was set, or the machine slept.
    pub clock_steps: Vec<ClockPair>,
    /// The name of the host.
    pub host: String,
    /// True if the target was watched from its first instruction on (`run`), not attached to.
    pub from_first_instruction: bool,
    /// tokio's version, where it is known, such as `1.54.1`.
    pub tokio: Option<String>,
    /// The versions of tokio whose sources are named in the executable: several where it is not known which is watched.
    #[serde(deserialize_with = "bounded::<VERSIONS_MAX, _, _>")]
    pub tokio_versions: Vec<String>,
    /// The task types, one for each task vtable.
    #[serde(deserialize_with = "bounded::<TYPES_MAX, _, _>")]
    pub types: Vec<TaskType>,
    /// Code that uses wakers on the runtime's behalf.
    #[serde(deserialize_with = "bounded::<PLACES_MAX, _, _>")]
    pub drivers: Vec<DriverCode>,
    /// The place where tokio keeps the running task's id, if that was observed.
    pub current_task: Option<CurrentTask>,
    /// The place where tokio keeps it by the code of its poll functions, if that was proved.
    pub running: Option<RunningTask>,
    /// The way CPU time was sampled; `None` where polls were traced.
    pub sampling: Option<Sampling>,
    /// The poll functions: what stacks end at, and what uses the waker of a `JoinHandle`.
    #[serde(deserialize_with = "bounded::<PLACES_MAX, _, _>")]
    pub polls: Vec<PollFunction>,
    /// The threads alive when the hooks were armed.
    #[serde(deserialize_with = "bounded::<THREADS_MAX, _, _>")]
    pub threads: Vec<NamedThread>,
    /// The frames of await chains, by number; none where chains were not looked at.
    pub frames: Vec<AwaitFrame>,
    /// The paths of the files with code of the target: the executable first.
    #[serde(deserialize_with = "bounded::<IMAGES_MAX, _, _>")]
    pub images: Vec<String>,
    /// The hooks that were armed, and those that could not be.
    #[serde(deserialize_with = "bounded::<PLACES_MAX, _, _>")]
    pub hooks: Vec<Hook>,
    /// The headers whose values are recorded, in lower case: [`crate::event::Value::name`] is a place in
    /// this list. Empty where HTTP is not watched.
    #[serde(deserialize_with = "bounded::<HEADERS_MAX, _, _>")]
    pub correlation_headers: Vec<String>,
    /// True if what the target wrote to its standard output and error was captured.
    pub logs: bool,
    /// True if off-CPU threads were watched: where they were not, no event says that none was.
    pub off_cpu: bool,
    /// The connections in an exchange when the hooks were armed; `None` where the kernel did not say, or where
    /// the target was watched from its first instruction on.
    pub in_exchange: Option<InExchange>,
    /// The kinds of tasks whose spawns may pass no hook.
    #[serde(deserialize_with = "bounded::<KINDS, _, _>")]
    pub unseen_spawns: Vec<TaskKind>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFacts {
    /// Its id, as the agent sees it.
    pub pid: u32,
    /// Its command name.
    pub name: String,
    /// Its executable, as the kernel names it.
    pub executable: String,
    /// The executable's GNU build id in hexadecimal, if it has one.
    pub build_id: Option<String>,
}

/// Connections on which somebody waited for an answer: the last bytes had gone one way, and none back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InExchange {
    /// Connections that the target had opened, on which it was not answered yet.
    pub called: u32,
    /// Connections that it had accepted, on which it had not answered yet.
    pub served: u32,
}

/// The way CPU time was sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// The number of times in a second that a sampling event fires on each CPU.
    pub frequency_hz: u32,
    /// True if stacks were unwound.
    pub stacks: bool,
    /// True if requests were seen as well, and the ends of tasks.
    pub requests: bool,
}

/// The code of a poll function, or of what it becomes by jumping on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PollFunction {
    /// Its first address in the target's memory.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// The task types that it polls: several where the linker folded their code.
    #[serde(deserialize_with = "bounded::<TYPES_MAX, _, _>")]
    pub vtables: Vec<u64>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockPair {
    /// Nanoseconds of `CLOCK_MONOTONIC`, as events have them.
    pub monotonic_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
}

/// A frame of an await chain: one future in one state, or what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct AwaitFrame {
    /// The `async fn`, block or type, as a person would call it.
    pub name: String,
    /// The kind of frame.
    pub kind: AwaitKind,
    /// The source file.
    pub file: Option<String>,
    /// The line of the `.await`; where that is in a macro, the first line of the function's body.
    pub line: Option<u32>,
    /// The last line of the function's body, where `line` is the first.
    pub until: Option<u32>,
}

/// The kinds of frames of await chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AwaitKind {
    /// An `async fn` or block that waits at an `.await`.
    Await,
    /// A future written by hand; what is inside are the futures in its fields.
    Future,
    /// Something that futures wait for: a timer, a lock, a socket.
    Leaf,
    /// An `async fn` or block that was not polled yet.
    Unstarted,
    /// A future that is done: it returned or panicked.
    Done,
    /// Code that does not prove what is waited for; the name says why.
    Unproved,
    /// A future whose type is not known.
    #[default]
    Unknown,
}

/// The kinds of tasks, by what runs them.
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
    /// The part of the runtime.
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
pub struct NamedThread {
    /// Its id in the initial pid namespace.
    pub tid: u32,
    /// Its name.
    pub name: String,
}
