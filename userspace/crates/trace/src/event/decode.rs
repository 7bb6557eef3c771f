//! Bytes to events.
//!
//! The bytes may come from a file that anyone wrote: every record is judged by its kind and its exact
//! length, and no value in it can make decoding panic.

use probe_common::{
    chain::FRAME_BITS,
    record::{self, Head, Kind, flags},
};
use zerocopy::FromBytes;

use super::encode::{self, GAP, THREAD_AT_REST, THREAD_NAME};
use super::sample::{self, BLOCKED_AT, CODE, SAMPLE, STACK, TYPED};
use super::{
    At, ChainFrame, Change, Completion, Connection, Event, Moment, Running, Source, SpawnWay, State, TaskId, TaskRef,
    Turn, TurnOf, What,
};

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are fewer bytes than every record has.
    #[error("a record of {len} bytes is shorter than the {} that each starts with", size_of::<Head>())]
    Short {
        /// How many bytes there are.
        len: usize,
    },
    /// The record's kind is none that is known here.
    #[error("no record has the kind {kind}")]
    UnknownKind {
        /// [`Head::kind`].
        kind: u8,
    },
    /// What the record says of itself does not fit together.
    #[error("a record of kind {kind} with {len} bytes contradicts itself")]
    Contradiction {
        /// [`Head::kind`].
        kind: u8,
        /// How many bytes there are.
        len: usize,
    },
    /// The length is not that of the record's kind.
    #[error("a record of kind {kind} has {expected} bytes, not {len}")]
    Length {
        /// [`Head::kind`].
        kind: u8,
        /// The length of such a record in bytes.
        expected: usize,
        /// How many bytes there are.
        len: usize,
    },
}

/// The event in one record, which is all of `bytes`.
///
/// Flags that the event has no place for are ignored: PREDICTED at the end of a poll, and all that are
/// not known.
///
/// # Errors
/// If the bytes are too few for a [`Head`], the kind is unknown, the length is not the kind's, or what is
/// said inside does not fit together.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let (head, _) = Head::read_from_prefix(bytes).map_err(|_| DecodeError::Short { len: bytes.len() })?;
    let what = match Kind::from_u8(head.kind) {
        Some(kind) => of_probe(kind, head, bytes)?,
        None => of_agent(head, bytes)?,
    };
    Ok(Event { at: at(head), what })
}

fn of_probe(kind: Kind, head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    Ok(match kind {
        Kind::PollStart => {
            let record::PollStart { task, state, .. } = exact(head, bytes)?;
            What::PollStart { task: task_ref(task), state: State(state) }
        }
        Kind::PollEnd => {
            let record::PollEnd { task, old, new, .. } = exact(head, bytes)?;
            What::PollEnd { task: task_ref(task), old: State(old), new: State(new) }
        }
        Kind::Wake => {
            let record::Wake { head, task, old, new, caller } = exact(head, bytes)?;
            wake(head, task, (old, new), caller, None)
        }
        Kind::WakeInTurn => {
            let record::WakeInTurn { head, task, old, new, caller, turn, driver } = exact(head, bytes)?;
            let driver = match driver {
                0 => TurnOf::Io,
                1 => TurnOf::Time,
                _ => return Err(DecodeError::Contradiction { kind: head.kind, len: bytes.len() }),
            };
            wake(head, task, (old, new), caller, Some(Turn { driver, sp: turn }))
        }
        Kind::Abort => {
            let record::Abort { task, old, new, .. } = exact(head, bytes)?;
            let predicted = has(head, flags::PREDICTED);
            What::Abort { task: task_ref(task), old: State(old), new: State(new), predicted }
        }
        Kind::Spawn => {
            let record::Spawn { task, state, caller, .. } = exact(head, bytes)?;
            let (way, completion) = (way(head), completion(head));
            What::Spawn { task: task_ref(task), state: State(state), caller, way, completion }
        }
        Kind::SpawnedBy => {
            let record::SpawnedBy { task, state, caller, by, .. } = exact(head, bytes)?;
            let by = Running::of(by, head);
            What::SpawnedBy { task: task_ref(task), state: State(state), caller, way: way(head), by }
        }
        // It is unwound or looked up, and told as something else.
        Kind::Sample | Kind::BlockedStack | Kind::BlockedOutside => {
            return Err(DecodeError::UnknownKind { kind: head.kind });
        }
        Kind::Shutdown => {
            let record::Shutdown { task, state, .. } = exact(head, bytes)?;
            What::Shutdown { task: task_ref(task), state: State(state) }
        }
        Kind::Panic => exact(head, bytes).map(|_: record::Panic| What::Panic)?,
        Kind::PollExit => exact(head, bytes).map(|_: record::PollExit| What::PollExit)?,
        Kind::Message => message(head, bytes)?,
        Kind::Awaited => {
            let record::Awaited { task, chain, .. } = exact(head, bytes)?;
            What::Awaited { task: task_ref(task), chain }
        }
        Kind::Blocked => {
            let record::Blocked { since, .. } = exact(head, bytes)?;
            What::Blocked { since, stack: 0, in_trap: has(head, flags::IN_TRAP) }
        }
        Kind::Frames => frames(head, &exact(head, bytes)?, bytes.len())?,
        Kind::Stream => stream(head, exact(head, bytes)?, bytes.len())?,
        Kind::Print => print(head, bytes)?,
    })
}

fn of_agent(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    Ok(match head.kind {
        GAP => {
            let encode::Gap { since, lost, .. } = exact(head, bytes)?;
            What::Gap { since, lost }
        }
        THREAD_NAME => {
            let encode::ThreadName { name, .. } = exact(head, bytes)?;
            What::ThreadName { name: encode::thread_name(&name) }
        }
        THREAD_AT_REST => exact(head, bytes).map(|_: Head| What::ThreadAtRest)?,
        BLOCKED_AT => {
            let sample::BlockedAt { since, stack, .. } = exact(head, bytes)?;
            What::Blocked { since, stack, in_trap: has(head, flags::IN_TRAP) }
        }
        SAMPLE | STACK | CODE | TYPED => {
            let contradiction = DecodeError::Contradiction { kind: head.kind, len: bytes.len() };
            sample::decode(head, bytes).ok_or(contradiction)?
        }
        kind => return Err(DecodeError::UnknownKind { kind }),
    })
}

fn frames(head: Head, record: &record::Frames, len: usize) -> Result<What, DecodeError> {
    let count = usize::try_from(record.count).ok().and_then(|count| record.frames.get(..count));
    let words = count.ok_or(DecodeError::Contradiction { kind: head.kind, len })?;
    let frame = |&word: &u32| ChainFrame {
        frame: word & ((1 << FRAME_BITS) - 1),
        depth: u8::try_from(word >> FRAME_BITS).unwrap_or(u8::MAX),
    };
    Ok(What::Frames { chain: record.chain, partial: record.partial == 1, frames: words.iter().map(frame).collect() })
}

fn message(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let len = bytes.len();
    let expected = size_of::<record::Message>();
    let (record, tail) =
        record::Message::read_from_prefix(bytes).map_err(|_| DecodeError::Length { kind: head.kind, expected, len })?;
    let message = super::message::decode(&record, tail);
    let contradiction = DecodeError::Contradiction { kind: head.kind, len };
    message.map(|message| What::Message(Box::new(message))).ok_or(contradiction)
}

fn print(head: Head, bytes: &[u8]) -> Result<What, DecodeError> {
    let len = bytes.len();
    let expected = size_of::<record::Print>();
    let (record, tail) =
        record::Print::read_from_prefix(bytes).map_err(|_| DecodeError::Length { kind: head.kind, expected, len })?;
    let contradiction = DecodeError::Contradiction { kind: head.kind, len };
    super::print::decode(&record, tail).map(What::Print).ok_or(contradiction)
}

fn stream(head: Head, record: record::Stream, len: usize) -> Result<What, DecodeError> {
    let contradiction = DecodeError::Contradiction { kind: head.kind, len };
    let (source, change) = Source::from_u8(record.source).zip(Change::from_u8(record.change)).ok_or(contradiction)?;
    Ok(What::Stream { connection: Connection { source, key: record.stream }, change })
}

fn exact<T: FromBytes>(head: Head, bytes: &[u8]) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_| DecodeError::Length {
        kind: head.kind,
        expected: size_of::<T>(),
        len: bytes.len(),
    })
}

fn wake(head: Head, task: record::Task, (old, new): (u64, u64), caller: u64, turn: Option<Turn>) -> What {
    What::Wake {
        task: task_ref(task),
        old: State(old),
        new: State(new),
        caller,
        owned: !has(head, flags::UNOWNED),
        predicted: has(head, flags::PREDICTED),
        moment: Moment { completion: completion(head), turn },
    }
}

/// With both flags, which no probe sets, nothing is told.
fn completion(head: Head) -> Completion {
    match (has(head, flags::COMPLETING), has(head, flags::COMPLETED)) {
        (true, false) => Completion::GoesOn,
        (false, true) => Completion::Over,
        _ => Completion::Untold,
    }
}

fn at(head: Head) -> At {
    At { time: head.time, cpu: head.cpu, seq: head.seq, tid: head.tid, sp: head.sp }
}

pub(super) fn task_ref(task: record::Task) -> TaskRef {
    let id = (task.id != 0).then_some(TaskId(task.id));
    TaskRef { header: task.header, id, vtable: id.map_or(0, |_| task.vtable) }
}

fn has(head: Head, flag: u8) -> bool {
    head.flags & flag != 0
}

fn way(head: Head) -> SpawnWay {
    if has(head, flags::BLOCKING) {
        SpawnWay::Blocking
    } else if has(head, flags::LOCAL) {
        SpawnWay::Local
    } else {
        SpawnWay::Owned
    }
}

#[cfg(test)]
mod tests;
