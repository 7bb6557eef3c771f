//! The type of a task that a sample is of, which the agent found; reported once.

use probe_common::record::{self, Head};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::event::{
    At, DecodeError, TaskRef, What,
    fields::{self, push, raw_task, task_ref},
};

pub(in crate::event) const KIND: u8 = 71;
pub(in crate::event) const KINDS: &[u8] = &[KIND];
pub(in crate::event) const LEN_MAX: usize = size_of::<TypedRecord>();

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct TypedRecord {
    head: Head,
    task: record::Task,
}

pub(in crate::event) fn decode(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let record = TypedRecord::read_from_bytes(bytes).map_err(|_| DecodeError::contradiction(head, bytes))?;
    Ok(What::Typed { task: task_ref(record.task) })
}

pub(in crate::event) fn encode(at: At, task: &TaskRef, out: &mut Vec<u8>) {
    push(&TypedRecord { head: fields::head(at, KIND, 0), task: raw_task(task) }, out);
}

#[cfg(any(test, feature = "testing"))]
pub(in crate::event) fn any() -> impl proptest::strategy::Strategy<Value = What> {
    use crate::event::arbitrary::*;

    task().prop_map(|task| What::Typed { task })
}
