//! Typed events in time order: what the probe's records say, before anyone interprets it.
//!
//! No I/O and no clock: [`decode`] turns bytes into events and [`encode`] events into bytes, [`order`]
//! merges the CPUs' streams.

#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
pub mod decode;
pub mod encode;
pub mod message;
pub mod order;
pub mod print;
pub mod sample;

pub use message::{Connection, Message, Start, Value};
pub use print::{Missing, Print, Standard};
pub use probe_common::config::Driver as TurnOf;
pub use probe_common::record::{Change, Source};
pub use sample::{Ended, Running};

use crate::facts;

impl From<TurnOf> for facts::Driver {
    fn from(driver: TurnOf) -> Self {
        match driver {
            TurnOf::Io => Self::Io,
            TurnOf::Time => Self::Time,
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When and where.
    pub at: At,
    /// What.
    pub what: What,
}

/// When and where an event happened. The order of fields is the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// The CPU whose buffer held it.
    pub cpu: u16,
    /// Its number on that CPU.
    pub seq: u64,
    /// The thread.
    pub tid: u32,
    /// The thread's stack pointer.
    pub sp: u64,
}

/// A tokio task id, unique within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// A task as its header described itself at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRef {
    /// The header's address; reused after the task is freed.
    pub header: u64,
    /// The id; `None` where the header could no longer be trusted.
    pub id: Option<TaskId>,
    /// The vtable's address: the task's type. 0 where `id` is `None`.
    pub vtable: u64,
}

/// A task's state word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State(pub u64);

impl State {
    /// Whether all of these bits of [`probe_common::record::state`] are set.
    #[must_use]
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `raw::poll` was entered.
    PollStart { task: TaskRef, state: State },
    /// The task left RUNNING.
    PollEnd { task: TaskRef, old: State, new: State },
    /// A waker was used. `owned`: the header was alive for sure when its id was read.
    Wake { task: TaskRef, old: State, new: State, caller: u64, owned: bool, predicted: bool, moment: Moment },
    /// A handle asked the task to cancel.
    Abort { task: TaskRef, old: State, new: State, predicted: bool },
    /// A new task was handed to its scheduler.
    Spawn { task: TaskRef, state: State, caller: u64, way: SpawnWay, completion: Completion },
    /// The same, where polls have no hooks: `by` is what the spawning thread runs, by tokio's own word.
    SpawnedBy { task: TaskRef, state: State, caller: u64, way: SpawnWay, by: Running },
    /// The clock struck on a CPU that the thread had. `stack` is one that was told.
    Sample { running: Running, stack: u64, in_kernel: bool },
    /// A stack, the innermost frame first: addresses in the target's memory, those of calls but for the first.
    Stack { stack: u64, ended: Ended, frames: Vec<u64> },
    /// The agent found the header of a task that a sample is of, which says its type.
    Typed { task: TaskRef },
    /// Whose code lies at an address: the function, after those that are inlined into it there.
    Code { address: u64, functions: Vec<facts::Function> },
    /// `Vtable::shutdown` was entered.
    Shutdown { task: TaskRef, state: State },
    /// A panic starts to unwind on the thread.
    Panic,
    /// `raw::poll` returns, in a build where the transition itself cannot be seen.
    PollExit,
    /// The head, or the trailers, of an HTTP message went through.
    Message(Box<Message>),
    /// A connection changed.
    Stream { connection: Connection, change: Change },
    /// The target wrote to its standard output or error.
    Print(Print),
    /// What a task awaited until its poll began that was announced just before.
    Awaited { task: TaskRef, chain: u64 },
    /// The frames of a chain, each before those inside it. `partial`: it goes on in a way that was not followed.
    Frames { chain: u64, partial: bool, frames: Vec<ChainFrame> },
    /// The thread was off the CPU from `since` on, blocked inside a poll. `stack` is one that was told, or 0.
    /// `in_trap`: the kernel held it in the trap of one of asyncscope's hooks.
    Blocked { since: u64, stack: u64, in_trap: bool },
    /// Events of this CPU are missing between `since` and the event's own time.
    Gap { since: u64, lost: u64 },
    /// The agent learnt the thread's name.
    ThreadName { name: String },
    /// The agent proved that the thread is outside of every poll (but for the runtime's own).
    ThreadAtRest,
}

/// What a thread was in the middle of when it used a waker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// What follows a task's completion.
    pub completion: Completion,
    /// A driver's turn.
    pub turn: Option<Turn>,
}

/// What is told of a thread on which tasks completed: an output that nobody is to read is dropped then, or the
/// waker of the `JoinHandle` used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completion {
    /// Nothing.
    #[default]
    Untold,
    /// That of the task which completed last on this thread goes on.
    GoesOn,
    /// None goes on.
    Over,
}

/// A driver's turn, in which it wakes whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub driver: TurnOf,
    /// The thread's stack pointer when it began.
    pub sp: u64,
}

/// A frame of an await chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainFrame {
    /// Its place among the facts' frames: 24 bits.
    pub frame: u32,
    /// How many frames it lies in.
    pub depth: u8,
}

/// By which way a new task went to its scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnWay {
    /// A runtime's list of owned tasks.
    Owned,
    /// The blocking pool.
    Blocking,
    /// A `LocalSet`'s queue, which woken tasks pass as well: a spawn only if the id is new.
    Local,
}
