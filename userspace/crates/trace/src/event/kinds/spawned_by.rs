//! A new task was handed to its scheduler, where polls have no hooks.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, DecodeError, Running, SpawnWay, State, TaskRef, What,
    fields::{self, exact, push, raw_running, raw_task, running, spawn_way, spawn_way_flags, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::SpawnedBy as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::SpawnedBy>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::SpawnedBy { task, state, caller, by, .. } = exact(head, bytes)?;
    let (task, state) = (task_ref(task), State(state));
    Ok(What::SpawnedBy { task, state, caller, way: spawn_way(head), by: running(by, head) })
}

pub(in crate::event) fn encode(
    at: At,
    task: &TaskRef,
    state: &State,
    &caller: &u64,
    way: &SpawnWay,
    by: &Running,
    out: &mut Vec<u8>,
) {
    let (by, flag) = raw_running(*by);
    let head = fields::head(at, Kind::SpawnedBy as u8, spawn_way_flags(*way) | flag);
    push(&record::SpawnedBy { head, task: raw_task(task), state: state.0, caller, by }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), state(), proptest::num::u64::ANY, way(), running())
        .prop_map(|(task, state, caller, way, by)| What::SpawnedBy { task, state, caller, way, by })
}
