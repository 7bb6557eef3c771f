//! The task left RUNNING.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, DecodeError, State, TaskRef, What,
    fields::{self, exact, push, raw_task, states, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::PollEnd as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::PollEnd>();

/// PREDICTED has no place in the event, and is ignored.
pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::PollEnd { task, old, new, .. } = exact(head, bytes)?;
    let (old, new) = states(old, new);
    Ok(What::PollEnd { task: task_ref(task), old, new })
}

pub(in crate::event) fn encode(at: At, task: &TaskRef, old: &State, new: &State, out: &mut Vec<u8>) {
    let head = fields::head(at, Kind::PollEnd as u8, 0);
    push(&record::PollEnd { head, task: raw_task(task), old: old.0, new: new.0 }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), state(), state()).prop_map(|(task, old, new)| What::PollEnd { task, old, new })
}
