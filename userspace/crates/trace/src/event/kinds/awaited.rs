//! What a task awaited until its poll began.

use probe_common::record::{self, Head, Kind};

use crate::event::{
    At, DecodeError, TaskRef, What,
    fields::{self, exact, push, raw_task, task_ref},
};

pub(in crate::event) const KINDS: &[u8] = &[Kind::Awaited as u8];
pub(in crate::event) const LEN_MAX: usize = size_of::<record::Awaited>();

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record::Awaited { task, chain, .. } = exact(head, bytes)?;
    Ok(What::Awaited { task: task_ref(task), chain })
}

pub(in crate::event) fn encode(at: At, task: &TaskRef, &chain: &u64, out: &mut Vec<u8>) {
    let head = fields::head(at, Kind::Awaited as u8, 0);
    push(&record::Awaited { head, task: raw_task(task), chain }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    (task(), proptest::num::u64::ANY).prop_map(|(task, chain)| What::Awaited { task, chain })
}
