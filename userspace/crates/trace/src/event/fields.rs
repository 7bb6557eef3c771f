//! The fields that records share, in both directions.

use probe_common::record::{self, Head, flags};
use zerocopy::{FromBytes, Immutable, IntoBytes, TryFromBytes};

use super::{At, Completion, DecodeError, Running, SpawnWay, State, TaskId, TaskRef};

/// The length of a thread's name in bytes: the kernel's `TASK_COMM_LEN`.
pub(super) const NAME_LEN: usize = 16;

/// Reads a record that is all of `bytes`.
pub(super) fn exact<T: FromBytes>(head: Head, bytes: &[u8]) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_| length::<T>(head, bytes))
}

/// Reads the fixed part of a record that goes on behind it.
pub(super) fn prefix<T: FromBytes>(head: Head, bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes).map_err(|_| length::<T>(head, bytes))
}

fn length<T>(head: Head, bytes: &[u8]) -> DecodeError {
    DecodeError::Length { kind: head.kind, expected: size_of::<T>(), len: bytes.len() }
}

/// Appends a record, or a part of one.
pub(super) fn push<T: IntoBytes + Immutable>(record: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(record.as_bytes());
}

/// The value of an enum that has this number, if there is one.
pub(super) fn named<T: TryFromBytes>(number: impl IntoBytes + Immutable) -> Option<T> {
    T::try_read_from_bytes(number.as_bytes()).ok()
}

pub(super) const fn at(head: Head) -> At {
    At { time: head.time, cpu: head.cpu, seq: head.seq, tid: head.tid, sp: head.sp }
}

pub(super) const fn head(at: At, kind: u8, flags: u8) -> Head {
    Head { time: at.time, seq: at.seq, sp: at.sp, tid: at.tid, cpu: at.cpu, kind, flags }
}

pub(super) const fn has(head: Head, flag: u8) -> bool {
    head.flags & flag != 0
}

pub(super) const fn bit(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

pub(super) fn task_ref(task: record::Task) -> TaskRef {
    let id = (task.id != 0).then_some(TaskId(task.id));
    TaskRef { header: task.header, id, vtable: id.map_or(0, |_| task.vtable) }
}

/// The vtable of a task without an id becomes 0.
pub(super) fn raw_task(task: &TaskRef) -> record::Task {
    let (id, vtable) = task.id.map_or((0, 0), |id| (id.0, task.vtable));
    record::Task { header: task.header, id, vtable }
}

/// The state words before and after a transition.
pub(super) const fn states(old: u64, new: u64) -> (State, State) {
    (State(old), State(new))
}

pub(super) const fn spawn_way(head: Head) -> SpawnWay {
    if has(head, flags::BLOCKING) {
        SpawnWay::Blocking
    } else if has(head, flags::LOCAL) {
        SpawnWay::Local
    } else {
        SpawnWay::Owned
    }
}

pub(super) const fn spawn_way_flags(way: SpawnWay) -> u8 {
    match way {
        SpawnWay::Owned => 0,
        SpawnWay::Blocking => flags::BLOCKING,
        SpawnWay::Local => flags::LOCAL,
    }
}

pub(super) const fn completion(head: Head) -> Completion {
    match (has(head, flags::COMPLETING), has(head, flags::COMPLETED)) {
        (true, false) => Completion::GoesOn,
        (false, true) => Completion::Over,
        _ => Completion::Unknown,
    }
}

pub(super) const fn completion_flags(completion: Completion) -> u8 {
    match completion {
        Completion::Unknown => 0,
        Completion::GoesOn => flags::COMPLETING,
        Completion::Over => flags::COMPLETED,
    }
}

pub(super) const fn running(id: u64, head: Head) -> Running {
    match id {
        _ if has(head, flags::ID_UNREADABLE) => Running::Unknown,
        0 => Running::Nothing,
        id => Running::Task(TaskId(id)),
    }
}

/// The id, and the flag.
pub(super) const fn raw_running(running: Running) -> (u64, u8) {
    match running {
        Running::Task(id) => (id.0, 0),
        Running::Nothing => (0, 0),
        Running::Unknown => (0, flags::ID_UNREADABLE),
    }
}

/// Returns a thread's name as an event holds it: up to the first NUL, with U+FFFD for what is not UTF-8, and
/// cut before the first character that does not fit into 16 bytes.
///
/// An event with such a name is still equal after it was recorded.
#[must_use]
pub fn thread_name(comm: &[u8]) -> String {
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len()).min(NAME_LEN);
    let mut name = String::from_utf8_lossy(&comm[..end]).into_owned();
    name.truncate(name.floor_char_boundary(NAME_LEN));
    name
}
