//! Typed events in time order: what the probe's records say, before anyone interprets it.
//!
//! No I/O and no clock: [`decode`] turns bytes into events and [`encode`] events into bytes, [`order`]
//! merges the CPUs' streams.

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod decode;
pub mod encode;
pub mod order;

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
    Wake { task: TaskRef, old: State, new: State, caller: u64, owned: bool, predicted: bool },
    /// A handle asked the task to cancel.
    Abort { task: TaskRef, old: State, new: State, predicted: bool },
    /// A new task was handed to its scheduler.
    Spawn { task: TaskRef, state: State, caller: u64, way: SpawnWay },
    /// `Vtable::shutdown` was entered.
    Shutdown { task: TaskRef, state: State },
    /// A panic starts to unwind on the thread.
    Panic,
    /// `raw::poll` returns, in a build where the transition itself cannot be seen.
    PollExit,
    /// Events of this CPU are missing between `since` and the event's own time.
    Gap { since: u64, lost: u64 },
    /// The agent learnt the thread's name.
    ThreadName { name: String },
    /// The agent proved that the thread is outside of every poll (but for the runtime's own).
    ThreadAtRest,
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
