//! Events to bytes: the inverse of [`super::decode`].
//!
//! An event of the probe becomes the very struct of [`probe_common::record`] that it came from. The
//! events that only the agent makes have structs of their own, here.

use probe_common::{
    chain::FRAME_BITS,
    record::{self, FRAMES_MAX, Head, Kind, flags},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{
    At, ChainFrame, Change, Completion, Connection, Event, Moment, SpawnWay, State, TaskRef, Turn, What, message,
    print, sample,
};

/// [`Head::kind`] of a [`Gap`]. The kinds from 64 on are the agent's.
pub const GAP: u8 = 64;
/// [`Head::kind`] of a [`ThreadName`].
pub const THREAD_NAME: u8 = 65;
/// [`Head::kind`] of a thread at rest, which is a [`Head`] alone.
pub const THREAD_AT_REST: u8 = 66;

/// The length of a thread's name in bytes: the kernel's `TASK_COMM_LEN`.
pub const NAME_LEN: usize = 16;
/// The length of the longest record in bytes.
pub const MAX_LEN: usize = {
    let (print, sample) = (size_of::<record::Print>() + record::PRINT_MAX, sample::MAX_LEN);
    if sample > print { sample } else { print }
};

const _: () = {
    assert!(record::MESSAGE_MAX <= MAX_LEN);
    // Records are copied as they lie in memory, and the format of recordings is little-endian.
    assert!(cfg!(target_endian = "little"));
    assert!(Kind::from_u8(GAP).is_none());
    assert!(Kind::from_u8(THREAD_NAME).is_none());
    assert!(Kind::from_u8(THREAD_AT_REST).is_none());
    assert!(size_of::<Gap>() == 48 && size_of::<ThreadName>() == 48);
};

/// Events of one CPU are missing. The head's `time` and `seq` are those of [`What::Gap`]'s [`At`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Gap {
    /// Every record's start.
    pub head: Head,
    /// The time of the CPU's last event before the gap, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// How many events are missing.
    pub lost: u64,
}

/// The name of the head's thread.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct ThreadName {
    /// Every record's start.
    pub head: Head,
    /// UTF-8, padded with NUL.
    pub name: [u8; NAME_LEN],
}

/// A thread's name as an event holds it: up to the first NUL, with U+FFFD for what is not UTF-8, and
/// cut before the first character that does not fit into [`NAME_LEN`] bytes.
///
/// An event with such a name is the same event after it was recorded.
#[must_use]
pub fn thread_name(comm: &[u8]) -> String {
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(comm.len()).min(NAME_LEN);
    let mut name = String::from_utf8_lossy(&comm[..end]).into_owned();
    name.truncate(name.floor_char_boundary(NAME_LEN));
    name
}

/// Appends the event's record to `out`: at most [`MAX_LEN`] bytes.
///
/// What a record has no room for is brought into shape: the vtable of a task without an id becomes 0,
/// a thread's name what [`thread_name`] makes of it.
pub fn encode(event: &Event, out: &mut Vec<u8>) {
    let at = event.at;
    match &event.what {
        What::PollStart { task, state } => poll_start(at, *task, *state, out),
        What::PollEnd { task, old, new } => poll_end(at, *task, (*old, *new), out),
        What::Wake { task, old, new, caller, owned, predicted, moment } => {
            let flags = bit(*predicted, flags::PREDICTED) | bit(!owned, flags::UNOWNED);
            wake((at, flags), *task, (*old, *new), *caller, *moment, out);
        }
        What::Abort { task, old, new, predicted } => {
            abort(head(at, Kind::Abort as u8, bit(*predicted, flags::PREDICTED)), *task, (*old, *new), out);
        }
        What::Spawn { task, state, caller, way, completion } => {
            let flags = way_flags(*way) | completion_flags(*completion);
            spawn(head(at, Kind::Spawn as u8, flags), *task, *state, *caller, out);
        }
        What::SpawnedBy { task, state, caller, way, by } => {
            let (id, flag) = by.raw();
            let head = head(at, Kind::SpawnedBy as u8, way_flags(*way) | flag);
            push(&record::SpawnedBy { head, task: raw(*task), state: state.0, caller: *caller, by: id }, out);
        }
        What::Sample { running, stack, in_kernel } => {
            let (_, flag) = running.raw();
            let head = head(at, sample::SAMPLE, flag | bit(*in_kernel, flags::IN_KERNEL));
            sample::encode_sample(head, *running, *stack, out);
        }
        What::Stack { stack, ended, frames } => {
            sample::encode_stack(head(at, sample::STACK, 0), *stack, *ended, frames, out);
        }
        What::Typed { task } => sample::encode_typed(head(at, sample::TYPED, 0), *task, out),
        What::Code { address, functions } => {
            sample::encode_code(head(at, sample::CODE, 0), *address, functions, out);
        }
        What::Shutdown { task, state } => shutdown(at, *task, *state, out),
        What::Panic => push(&record::Panic { head: head(at, Kind::Panic as u8, 0) }, out),
        What::PollExit => push(&record::PollExit { head: head(at, Kind::PollExit as u8, 0) }, out),
        What::Message(message) => message::encode(message, |kind| head(at, kind, 0), out),
        What::Print(print) => print::encode(print, |kind| head(at, kind, 0), out),
        What::Stream { connection, change } => stream(at, *connection, *change, out),
        What::Awaited { task, chain } => {
            push(&record::Awaited { head: head(at, Kind::Awaited as u8, 0), task: raw(*task), chain: *chain }, out);
        }
        What::Frames { chain, partial, frames: of } => frames(at, *chain, *partial, of, out),
        What::Blocked { since, stack, in_trap } => blocked(at, (*since, *stack), *in_trap, out),
        What::Gap { since, lost } => push(&Gap { head: head(at, GAP, 0), since: *since, lost: *lost }, out),
        What::ThreadName { name } => {
            push(&ThreadName { head: head(at, THREAD_NAME, 0), name: padded(name) }, out);
        }
        What::ThreadAtRest => push(&head(at, THREAD_AT_REST, 0), out),
    }
}

fn poll_start(at: At, task: TaskRef, state: State, out: &mut Vec<u8>) {
    let head = head(at, Kind::PollStart as u8, 0);
    push(&record::PollStart { head, task: raw(task), state: state.0 }, out);
}

fn poll_end(at: At, task: TaskRef, (old, new): (State, State), out: &mut Vec<u8>) {
    let head = head(at, Kind::PollEnd as u8, 0);
    push(&record::PollEnd { head, task: raw(task), old: old.0, new: new.0 }, out);
}

fn wake(
    (at, flags): (At, u8),
    task: TaskRef,
    (old, new): (State, State),
    caller: u64,
    moment: Moment,
    out: &mut Vec<u8>,
) {
    let (task, old, new, flags) = (raw(task), old.0, new.0, flags | completion_flags(moment.completion));
    match moment.turn {
        None => push(&record::Wake { head: head(at, Kind::Wake as u8, flags), task, old, new, caller }, out),
        Some(Turn { driver, sp: turn }) => {
            let (head, driver) = (head(at, Kind::WakeInTurn as u8, flags), driver as u64);
            push(&record::WakeInTurn { head, task, old, new, caller, turn, driver }, out);
        }
    }
}

fn completion_flags(completion: Completion) -> u8 {
    match completion {
        Completion::Untold => 0,
        Completion::GoesOn => flags::COMPLETING,
        Completion::Over => flags::COMPLETED,
    }
}

fn abort(head: Head, task: TaskRef, (old, new): (State, State), out: &mut Vec<u8>) {
    push(&record::Abort { head, task: raw(task), old: old.0, new: new.0 }, out);
}

fn spawn(head: Head, task: TaskRef, state: State, caller: u64, out: &mut Vec<u8>) {
    push(&record::Spawn { head, task: raw(task), state: state.0, caller }, out);
}

fn shutdown(at: At, task: TaskRef, state: State, out: &mut Vec<u8>) {
    let head = head(at, Kind::Shutdown as u8, 0);
    push(&record::Shutdown { head, task: raw(task), state: state.0 }, out);
}

/// Frames beyond [`FRAMES_MAX`] have no room.
fn frames(at: At, chain: u64, partial: bool, frames: &[ChainFrame], out: &mut Vec<u8>) {
    let head = head(at, Kind::Frames as u8, 0);
    let mut words = [0; FRAMES_MAX];
    let word = |frame: &ChainFrame| (frame.frame & ((1 << FRAME_BITS) - 1)) | (u32::from(frame.depth) << FRAME_BITS);
    words.iter_mut().zip(frames).for_each(|(to, frame)| *to = word(frame));
    let count = frames.len().min(FRAMES_MAX) as u32;
    push(&record::Frames { head, chain, count, partial: u32::from(partial), frames: words }, out);
}

fn blocked(at: At, (since, stack): (u64, u64), in_trap: bool, out: &mut Vec<u8>) {
    let flags = bit(in_trap, flags::IN_TRAP);
    match stack {
        0 => push(&record::Blocked { head: head(at, Kind::Blocked as u8, flags), since }, out),
        stack => push(&sample::BlockedAt { head: head(at, sample::BLOCKED_AT, flags), since, stack }, out),
    }
}

fn stream(at: At, connection: Connection, change: Change, out: &mut Vec<u8>) {
    let head = head(at, Kind::Stream as u8, 0);
    let (stream, source) = (connection.key, connection.source as u8);
    push(&record::Stream { head, stream, source, change: change as u8, zero: [0; 6] }, out);
}

fn push<T: IntoBytes + Immutable>(record: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(record.as_bytes());
}

fn head(at: At, kind: u8, flags: u8) -> Head {
    Head { time: at.time, seq: at.seq, sp: at.sp, tid: at.tid, cpu: at.cpu, kind, flags }
}

pub(super) fn raw(task: TaskRef) -> record::Task {
    let (id, vtable) = task.id.map_or((0, 0), |id| (id.0, task.vtable));
    record::Task { header: task.header, id, vtable }
}

fn bit(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

fn way_flags(way: SpawnWay) -> u8 {
    match way {
        SpawnWay::Owned => 0,
        SpawnWay::Blocking => flags::BLOCKING,
        SpawnWay::Local => flags::LOCAL,
    }
}

fn padded(name: &str) -> [u8; NAME_LEN] {
    let name = &name[..name.floor_char_boundary(NAME_LEN)];
    let mut bytes = [0; NAME_LEN];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}
