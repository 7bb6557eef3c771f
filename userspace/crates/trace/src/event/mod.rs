//! Typed events in time order: what the probe's records say, before anyone interprets it.
//!
//! No I/O and no clock: [`decode`] turns bytes into events and [`encode`] events into bytes, [`order`]
//! merges the CPUs' streams. All events are rows of one table, each with a file of its own that knows its records.

#[cfg(any(test, feature = "testing"))]
pub mod arbitrary;
pub mod decode;
pub mod encode;
mod error;
mod fields;
#[expect(clippy::trivially_copy_pass_by_ref, reason = "encoders take fields as a match on a borrowed event has them")]
#[cfg_attr(
    all(feature = "testing", not(test)),
    expect(clippy::wildcard_imports, reason = "strategies are made of strategies")
)]
mod kinds;
pub mod message;
pub mod order;
pub mod print;
mod running;
pub mod sample;
mod table;
#[cfg(test)]
mod tests;
mod what;

pub use error::DecodeError;
pub use fields::thread_name;
pub use message::{Connection, Message, Start, Value};
pub use print::{Missing, Print, Standard};
pub use probe_common::config::{Driver as TurnOf, SpawnWay};
pub use probe_common::record::{Change, Source};
pub use running::Running;
pub use sample::Ended;
pub use what::{Origin, Reach, What};

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
    /// The time and place.
    pub at: At,
    /// The kind of event, with its details.
    pub what: What,
}

/// The time and place of an event. The order of fields is the order of events.
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
    /// Returns `true` if all of these bits of [`probe_common::record::state`] are set.
    #[must_use]
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }
}

/// The work that a thread was in the middle of when it used a waker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The work that follows a task's completion.
    pub completion: Completion,
    /// A driver's turn.
    pub turn: Option<Turn>,
}

/// Knowledge of a thread on which tasks completed: an output that nobody is to read is dropped then, or the
/// waker of the `JoinHandle` used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Completion {
    /// Nothing.
    #[default]
    Unknown,
    /// That of the task which completed last on this thread goes on.
    GoesOn,
    /// None goes on.
    Over,
}

/// A driver's turn, in which it wakes whoever waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The driver.
    pub driver: TurnOf,
    /// The thread's stack pointer when it began.
    pub sp: u64,
}

/// A frame of an await chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainFrame {
    /// Its place among the facts' frames: 24 bits.
    pub frame: u32,
    /// The number of frames it lies in.
    pub depth: u8,
}
