//! Why hooks are missing.

use serde::{Deserialize, Serialize};

use super::{Driver, SystemCall};

/// The reason why a hook is missing. Functions and tables are given by their ELF addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum MissingReason {
    /// The code of this poll function cannot be decoded.
    PollUndecodable {
        /// The function.
        function: u64,
    },
    /// The code of this function cannot be decoded.
    Undecodable {
        /// The function.
        function: u64,
    },
    /// The table that looks like the waker's vtable is not what symbols say.
    WakerDisagrees {
        /// The table.
        vtable: u64,
        /// The symbol of its function that wakes by value.
        named: Option<String>,
    },
    /// No table that the poll functions share looks like a waker's vtable, and no symbol names its functions.
    NoWaker,
    /// No code sets the bits of an abort.
    NoAbort,
    /// No symbol `rust_panic`, and no code that starts to unwind.
    NoPanic,
    /// `OwnedTasks::bind_inner` was not found.
    NoBind,
    /// A function works like that of a queue, and symbols call it something else.
    QueueDisagrees {
        /// The function.
        function: u64,
        /// The queue.
        queue: TaskQueue,
        /// Its symbol.
        named: Option<String>,
    },
    /// No function works like that of this queue, and no symbol names it.
    NoQueue {
        /// The queue.
        queue: TaskQueue,
    },
    /// Panics, which may leave a driver's turn without a return, are not seen.
    TurnsNeedPanics,
    /// No symbol of a driver's turn.
    NoTurn {
        /// The driver.
        driver: Driver,
    },
    /// The code of a driver's turn cannot be decoded.
    TurnUndecodable {
        /// The driver.
        driver: Driver,
    },
    /// The place that a driver's turn returns to is not proved.
    TurnReturnUnproved {
        /// The driver.
        driver: Driver,
        /// The reason.
        reason: ReturnUnproved,
    },
    /// h2 is mentioned, but no symbol of its is there.
    NoHttp2Symbols,
    /// The layout of header blocks in memory is not known.
    Http2Unknown {
        /// The reason.
        reason: Http2Unknown,
    },
    /// A function of h2 is not understood, or not there.
    Http2Part {
        /// The function.
        part: Http2Part,
    },
    /// System calls have no instruction beside them that a probe could sit on.
    CallsWithoutPlace {
        /// Their number.
        count: usize,
    },
    /// The library makes these system calls in a function that serves all calls.
    CallsShareFunction {
        /// The calls.
        calls: Vec<SystemCall>,
    },
    /// The library cannot be read.
    LibraryUnreadable {
        /// The reason.
        reason: Unreadable,
    },
    /// The executable makes no system call, and no C library is loaded.
    NoCalls,
    /// The C library is known for a running process only.
    NeedsProcess,
    /// There are several tokios in the executable.
    SeveralTokios {
        /// Their versions, where more than one is mentioned.
        versions: Vec<String>,
        /// Task types of the one that is watched.
        watched: usize,
        /// Task types of others.
        others: usize,
        /// All task types.
        all: usize,
    },
    /// There are tokios in the executable that are too old.
    TooOldTokios {
        /// Their versions.
        versions: Vec<String>,
    },
    /// The library has a tokio of its own.
    LibraryTokio {
        /// Its version, where it is known.
        version: Option<String>,
    },
}

/// The queues of tokio that new tasks go to without a bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskQueue {
    /// That of the blocking pool.
    BlockingPool,
    /// That of a `LocalSet`.
    LocalSet,
}

/// The reason why it is not proved where a function returns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum ReturnUnproved {
    /// A function on the way may be called by its address.
    CalledByAddress,
    /// Too many functions return right after it.
    TooDeep,
    /// None or too many functions are seen to call one.
    Callers {
        /// The number of functions that are seen to call it.
        callers: usize,
        /// The function that is called.
        function: u64,
    },
    /// The code after a call cannot be followed.
    NotFollowed {
        /// The function that the call is in.
        function: u64,
    },
}

/// The reason why it is not known how header blocks of HTTP/2 lie in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum Http2Unknown {
    /// The parts of a `store::Ptr` lie differently in one function than in another.
    PointersDiffer,
    /// A part of a block cannot lie at this offset.
    Offset {
        /// The part.
        part: BlockPart,
        /// The offset in bytes.
        offset: i64,
    },
    /// The drop glue of `HeaderBlock` does not show where its fields lie.
    NoBlock,
    /// No function shows how a `HeaderMap`'s entries lie.
    NoEntries,
    /// A `HeaderMap`'s entries overlap.
    EntriesOverlap,
    /// `Send::send_headers` does not show how a frame lies.
    NoFrame,
    /// No symbol of `Prioritize::queue_frame`.
    NoQueueFrame,
    /// `Recv::recv_headers` does not show where the status lies.
    NoStatus,
    /// The functions of h2 that are needed are not understood, or not there.
    Parts {
        /// The functions.
        parts: Vec<Http2Part>,
    },
}

/// The parts of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockPart {
    /// The stream.
    Stream,
    /// The status.
    Status,
    /// The method.
    Method,
    /// The path.
    Path,
    /// The fields.
    Fields,
}

/// A function of h2 by which heads are not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "kebab-case")]
pub enum Http2Part {
    /// `Prioritize::queue_frame` is not understood.
    QueueFrame {
        /// The function.
        function: u64,
    },
    /// A function that receives is not understood.
    Receive {
        /// The function.
        function: u64,
        /// The header blocks that it receives.
        receives: Http2Received,
    },
    /// No symbol of a function that receives.
    NoReceive {
        /// The header blocks that it would receive.
        receives: Http2Received,
    },
}

/// The header blocks that a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Http2Received {
    /// Those before a body: `Recv::recv_headers`.
    Heads,
    /// Those behind it: `Recv::recv_trailers`.
    Trailers,
}

/// The reason why a file cannot be read as an executable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub enum Unreadable {
    /// It is no ELF file.
    NotElf,
    /// It is damaged, or not a 64-bit little-endian one.
    Malformed {
        /// The parser's own message.
        error: String,
    },
    /// It is for another machine.
    Machine {
        /// `e_machine` of its header.
        machine: u16,
    },
}
