//! A handle asked the task to cancel.

use probe_common::record::{self, Head, Kind, flags};

use crate::event::{
    At, DecodeError, State, TaskRef, What,
    fields::{self, bit, exact, has, push, raw_task, states, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Abort as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Abort>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::Abort { task, old, new, .. } = exact(head, bytes)?;
    let (old, new) = states(old, new);
    Ok(What::Abort { task: task_ref(task), old, new, predicted: has(head, flags::PREDICTED) })
}

pub(in crate::event) fn encode(at: At, task: &TaskRef, old: &State, new: &State, &predicted: &bool, out: &mut Vec<u8>) {
    let head = fields::head(at, Kind::Abort as u8, bit(predicted, flags::PREDICTED));
    push(&record::Abort { head, task: raw_task(task), old: old.0, new: new.0 }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), state(), state(), proptest::bool::ANY).prop_map(|(task, old, new, predicted)| What::Abort {
        task,
        old,
        new,
        predicted,
    })
}
