//! Decided plans: everything that a command line says, with nothing left to decide.

use std::time::Duration;

use super::outputs::Wanted;
use crate::probe::Options;
use asyncscope_discovery::debug;

/// The target, how long it is watched, and what is made of it.
#[derive(Clone, Debug)]
pub struct LivePlan {
    /// The process id or name for `attach`; the command for `run`.
    pub target: Vec<String>,
    /// When to end; otherwise at Ctrl-C, or when the target ends.
    pub duration: Option<Duration>,
    /// What to write.
    pub wanted: Wanted,
    /// What to attach, and how.
    pub attach: AttachOptions,
}

/// What to attach, and how. By default: what sees tasks, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// How to attach.
    pub probe: Options,
    /// Where names come from.
    pub names: debug::Options,
    /// What is found out about what tasks await.
    pub awaits: AwaitChains,
    /// Time blocked inside polls is to be reported.
    pub blocked: bool,
    /// What of HTTP is recorded, if any is.
    pub http: Option<HttpOptions>,
    /// What the target writes to its standard output and error is captured.
    pub logs: bool,
    /// How system calls are seen.
    pub syscalls: SyscallSource,
    /// How often CPU time is sampled in a second on each CPU, instead of tracing polls.
    pub sampling: Option<u32>,
}

impl AttachOptions {
    /// Reports that stacks are taken, which have to be unwound and named.
    #[must_use]
    pub fn take_stacks(&self) -> bool {
        self.sampling.is_some() || self.blocked
    }
}

/// What is found out about what tasks await, where there is type information.
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

/// What of HTTP is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The headers whose values are recorded, in lower case.
    pub headers: Vec<String>,
    /// Values are replaced by hashes.
    pub redact: bool,
}

/// How system calls are seen.
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

/// What to dump, and how.
#[derive(Clone, Debug)]
pub struct DumpPlan {
    /// A process id or name.
    pub target: String,
    /// As a JSON object.
    pub json: bool,
    /// How long to watch before.
    pub watch: Duration,
    /// How long tasks are read, at most.
    pub within: Duration,
    /// How often in a row; each is printed.
    pub times: u32,
    /// Where names come from.
    pub names: debug::Options,
}
