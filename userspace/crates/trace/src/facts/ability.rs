//! What can be seen in a target.

use serde::{Deserialize, Serialize};

use super::{MissingReason, Proof, SystemCall};

/// The extent to which one thing can be seen that a user may want to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ability {
    /// The thing.
    pub what: Aspect,
    /// The extent to which it can be seen.
    pub works: Support,
    /// The reason, where not all of it can be seen.
    pub why: Option<Shortfall>,
    /// A way to see more.
    pub remedy: Option<Remedy>,
}

/// The things that a user may want to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Starts of polls.
    PollStarts,
    /// Ends of polls and of tasks.
    PollEnds,
    /// Wakes and who made them.
    Wakes,
    /// Spawns and parents.
    Spawns,
    /// Aborts.
    Aborts,
    /// Panics.
    Panics,
    /// Wakes by drivers through any waker.
    DriverWakes,
    /// HTTP/1 requests and responses on plain connections.
    Http1,
    /// Names of tasks.
    TaskNames,
    /// Await points with file and line.
    AwaitPoints,
    /// HTTP/2 requests and responses.
    Http2,
}

/// The extent to which something can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// As it is.
    Yes,
    /// Not all of it.
    Partly,
    /// Not at all.
    No,
}

/// The reason why not all can be seen of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "shortfall", rename_all = "kebab-case")]
pub enum Shortfall {
    /// There is no hook for it, and none is known to be missing.
    NoHook,
    /// A hook is missing.
    Hook {
        /// The file that lacks it.
        image: super::ImageId,
        /// The reason.
        missing: MissingReason,
    },
    /// A hook does not see everything.
    Inexact {
        /// The way the hook was found.
        proof: Proof,
    },
    /// Tasks of some types are made where no hook sees it.
    UnseenSpawns {
        /// All task types.
        all: usize,
        /// Those of which not every spawn is seen.
        unseen: usize,
    },
    /// No system call with a known number was found.
    NoCalls,
    /// These system calls have no hook.
    CallsWithoutHook {
        /// The calls.
        calls: Vec<SystemCall>,
    },
    /// Connections under TLS are seen encrypted, or tracepoints see for the hooks, at their cost.
    Connections {
        /// The implementation of TLS.
        tls: Option<TlsLibrary>,
        /// The reason why tracepoints are used, where they are.
        tracepoints: Option<Tracepoints>,
    },
    /// Not every task type has a name of its own.
    Names {
        /// All task types.
        all: usize,
        /// Those without a name.
        unnamed: usize,
        /// Those that share one with others.
        shared: usize,
    },
    /// The layout of futures in memory is not known of any task type.
    NoLayouts {
        /// The reason.
        reason: NoLayouts,
    },
    /// The layout of futures in memory is not known of some task types.
    Layouts {
        /// All task types.
        all: usize,
        /// Those of which it is not known.
        unknown: usize,
    },
}

/// The implementations of TLS whose traces are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsLibrary {
    /// rustls
    Rustls,
    /// OpenSSL
    OpenSsl,
}

/// The reason why system calls are seen by the kernel's tracepoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum Tracepoints {
    /// They were asked for.
    AskedFor,
    /// A hook is missing.
    Hook {
        /// The file that lacks it.
        image: super::ImageId,
        /// The reason.
        missing: MissingReason,
    },
    /// These system calls have no hook.
    CallsWithoutHook {
        /// The calls.
        calls: Vec<SystemCall>,
    },
}

/// The reason why no layouts of futures are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoLayouts {
    /// They were not asked for.
    NotAskedFor,
    /// The executable has no type information.
    NoTypes,
}

/// A way to see more of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// With the symbols of the same build.
    Symbols,
    /// With debug info of such a build.
    DebugInfo,
}
