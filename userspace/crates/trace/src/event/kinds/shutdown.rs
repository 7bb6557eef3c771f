//! `Vtable::shutdown` was entered.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, DecodeError, State, TaskRef, What,
    fields::{self, exact, push, raw_task, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Shutdown as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Shutdown>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::Shutdown { task, state, .. } = exact(head, bytes)?;
    Ok(What::Shutdown { task: task_ref(task), state: State(state) })
}

pub(in crate::event) fn encode(at: At, task: &TaskRef, state: &State, out: &mut Vec<u8>) {
    let head = fields::head(at, Kind::Shutdown as u8, 0);
    push(&record::Shutdown { head, task: raw_task(task), state: state.0 }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), state()).prop_map(|(task, state)| What::Shutdown { task, state })
}
