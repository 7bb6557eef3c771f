//! Decided plans: everything that a command line says, with nothing left to decide.

use std::time::Duration;

use super::outputs::OutputOptions;
use crate::probe::ProbeOptions;
use asyncscope_discovery::image::debug;

/// The target, how long it is watched, and what is made of it.
#[derive(Clone, Debug)]
pub struct LivePlan {
    /// The process id or name for `attach`; the command for `run`.
    pub target: Vec<String>,
    /// The time to end after; otherwise at Ctrl-C, or when the target ends.
    pub duration: Option<Duration>,
    /// The outputs.
    pub wanted: OutputOptions,
    /// The hooks to attach.
    pub attach: AttachOptions,
}

/// The hooks to attach. By default: those that see tasks, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// The probe's settings.
    pub probe: ProbeOptions,
    /// The sources of names.
    pub names: debug::Options,
    /// Await chains.
    pub awaits: AwaitChains,
    /// Time off the CPU inside polls, not runnable, is to be reported.
    pub off_cpu: bool,
    /// HTTP, if it is recorded.
    pub http: Option<HttpOptions>,
    /// Standard output and error of the target are captured.
    pub logs: bool,
    /// The way in which system calls are seen.
    pub syscalls: SyscallSource,
    /// The number of samples of CPU time in a second on each CPU, instead of tracing polls.
    pub sampling: Option<u32>,
}

impl AttachOptions {
    /// Returns `true` if stacks are taken, which have to be unwound and named.
    #[must_use]
    pub fn take_stacks(&self) -> bool {
        self.sampling.is_some() || self.off_cpu
    }
}

/// The use that is made of await chains, where there is type information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AwaitChains {
    /// Nothing.
    #[default]
    No,
    /// The layouts of futures, by which the agent can read suspended tasks.
    Read,
    /// These layouts, by which the hooks report await chains as well.
    Followed,
}

/// The part of HTTP that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The headers whose values are recorded, in lower case.
    pub headers: Vec<String>,
    /// Values are replaced by hashes.
    pub redact: bool,
}

/// The way in which system calls are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyscallSource {
    /// By hooks in the target's code; where these cannot see them, by tracepoints.
    #[default]
    Either,
    /// By hooks in the target's code only.
    Hooks,
    /// By the kernel's tracepoints, which every process of the machine passes with each system call.
    Tracepoints,
}

/// A dump, its length and its form.
#[derive(Clone, Debug)]
pub struct DumpPlan {
    /// A process id or name.
    pub target: String,
    /// As a JSON object.
    pub json: bool,
    /// The time to watch before.
    pub watch: Duration,
    /// The time for reading tasks, at most.
    pub read_timeout: Duration,
    /// The number of dumps in a row; each is printed.
    pub times: u32,
    /// The sources of names.
    pub names: debug::Options,
}
