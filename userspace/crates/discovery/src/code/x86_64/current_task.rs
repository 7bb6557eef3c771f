//! The place where tokio keeps the id of the task that a thread polls, by the code that writes it.
//!
//! Before it polls a future, every `raw::poll` loads the id from the task's header and keeps it in the thread's
//! `CONTEXT`. The header is the function's argument, the id's place in it is in the task's vtable, and an
//! executable's own thread-local variables are at a fixed distance from `%fs`: so the store tells the place.
//! A library's are not, as they are found by a call; no place is found then.
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/core.rs#L365-L388>

use std::collections::BTreeSet;

use super::{
    code::Code,
    symbolic::{SymbolicRoot, SymbolicValue},
    trace::{TraceEvent, trace_into},
};
use crate::addr::ElfAddr;

/// From `raw::poll` down to the store there are not more calls than this.
const LEVELS: u8 = 7;
/// The store comes before the future is polled: early.
const INSTRUCTIONS_MAX: usize = 6_000;
/// Before 1.43 an id could be 0, so a word before it says whether there is one.
const SOME: i64 = 1;
const WORD: i64 = 8;

/// A place in a thread's own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsSlot {
    /// So many bytes below where `%fs` points.
    pub below: u32,
    /// Set if 1 is kept in the word before.
    pub tagged: bool,
}

/// The places in which this poll function keeps the id that is so far from the header of its task.
#[must_use]
pub fn places(code: &Code<'_, '_>, poll: ElfAddr, id_offset: u32) -> BTreeSet<TlsSlot> {
    let Some(id) = SymbolicValue::argument(0).plus(id_offset.into()).load(WORD as usize) else {
        return BTreeSet::new();
    };
    let is_of_task = |value: &SymbolicValue| *value == id || value.root == SymbolicRoot::Argument(0);
    let into = |arguments: &[Option<SymbolicValue>; 6]| arguments.iter().flatten().any(is_of_task);
    let events = trace_into(code, poll, LEVELS, INSTRUCTIONS_MAX, &into);
    let kept = events.iter().filter_map(|event| match event {
        TraceEvent::Keep { address, bytes: 8, value } if *value == id => below(address),
        _ => None,
    });
    let is_tagged = |below: u32| {
        let tag = |event: &TraceEvent| match event {
            TraceEvent::Store { address, bytes: 8, number: SOME } => self::below(&address.plus(WORD)) == Some(below),
            _ => false,
        };
        events.iter().any(tag)
    };
    kept.map(|below| TlsSlot { below, tagged: is_tagged(below) }).collect()
}

fn below(address: &SymbolicValue) -> Option<u32> {
    (address.root == SymbolicRoot::Thread)
        .then(|| u32::try_from(address.offset.checked_neg()?).ok())?
        .filter(|&below| below > 0)
}
