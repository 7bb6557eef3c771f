//! A new task was handed to its scheduler.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, Completion, DecodeError, SpawnWay, State, TaskRef, What,
    fields::{self, completion, completion_flags, exact, push, raw_task, spawn_way, spawn_way_flags, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Spawn as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Spawn>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::Spawn { task, state, caller, .. } = exact(head, bytes)?;
    let (task, state) = (task_ref(task), State(state));
    Ok(What::Spawn { task, state, caller, way: spawn_way(head), completion: completion(head) })
}

pub(in crate::event) fn encode(
    at: At,
    task: &TaskRef,
    state: &State,
    &caller: &u64,
    way: &SpawnWay,
    completion: &Completion,
    out: &mut Vec<u8>,
) {
    let flags = spawn_way_flags(*way) | completion_flags(*completion);
    let head = fields::head(at, Kind::Spawn as u8, flags);
    push(&record::Spawn { head, task: raw_task(task), state: state.0, caller }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), state(), proptest::num::u64::ANY, way(), completion())
        .prop_map(|(task, state, caller, way, completion)| What::Spawn { task, state, caller, way, completion })
}
