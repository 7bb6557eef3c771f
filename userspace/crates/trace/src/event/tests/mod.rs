//! Records and events, in both directions.

use std::mem::offset_of;

use probe_common::record::{self, Head, Kind, flags};
use proptest::prelude::*;
use zerocopy::{Immutable, IntoBytes};

use super::{
    decode::decode,
    encode::{MAX_LEN, encode},
    kinds::{gap, thread_at_rest, thread_name as name_of_thread},
    *,
};

mod places;

const HEAD: Head = Head { time: 1, seq: 2, sp: 0x7fff_0000, tid: 4, cpu: 5, kind: 0, flags: 0 };
const TASK: record::Task = record::Task { header: 0x1000, id: 7, vtable: 0x5000 };
const REF: TaskRef = TaskRef { header: 0x1000, id: Some(TaskId(7)), vtable: 0x5000 };

fn head(kind: Kind, flags: u8) -> Head {
    Head { kind: kind as u8, flags, ..HEAD }
}

/// The record means `what`, and `what` is written as that very record.
fn check(record: &(impl IntoBytes + Immutable + ?Sized), what: What) {
    let event = decode(record.as_bytes()).unwrap();
    assert_eq!(event.at, At { time: 1, cpu: 5, seq: 2, tid: 4, sp: 0x7fff_0000 });
    assert_eq!(event.what, what);
    let mut bytes = Vec::new();
    encode(&event, &mut bytes);
    assert_eq!(bytes, record.as_bytes());
}

fn check_wake(flags: u8, owned: bool, predicted: bool, completion: Completion) {
    let head = head(Kind::Wake, flags);
    let (old, new) = (State(8), State(9));
    check(
        &record::Wake { head, task: TASK, old: 8, new: 9, caller: 10 },
        What::Wake { task: REF, old, new, caller: 10, owned, predicted, moment: Moment { completion, turn: None } },
    );
}

fn check_spawn(flags: u8, way: SpawnWay, completion: Completion) {
    let head = head(Kind::Spawn, flags);
    check(
        &record::Spawn { head, task: TASK, state: 8, caller: 9 },
        What::Spawn { task: REF, state: State(8), caller: 9, way, completion },
    );
}

fn check_abort(flags: u8, predicted: bool) {
    let head = head(Kind::Abort, flags);
    let (old, new) = (State(8), State(9));
    check(&record::Abort { head, task: TASK, old: 8, new: 9 }, What::Abort { task: REF, old, new, predicted });
}

fn check_name(comm: &[u8], name: &str) {
    assert_eq!(thread_name(comm), name);
    assert_eq!(thread_name(name.as_bytes()), name, "a name must stay as it is");
}

fn check_err(bytes: &[u8], error: DecodeError) {
    assert_eq!(decode(bytes), Err(error));
}

#[test]
fn polls() {
    let start = record::PollStart { head: head(Kind::PollStart, 0), task: TASK, state: 8 };
    check(&start, What::PollStart { task: REF, state: State(8) });
    let end = record::PollEnd { head: head(Kind::PollEnd, 0), task: TASK, old: 8, new: 9 };
    check(&end, What::PollEnd { task: REF, old: State(8), new: State(9) });
    check(&record::PollExit { head: head(Kind::PollExit, 0) }, What::PollExit);
    check(&record::Panic { head: head(Kind::Panic, 0) }, What::Panic);
    let shutdown = record::Shutdown { head: head(Kind::Shutdown, 0), task: TASK, state: 8 };
    check(&shutdown, What::Shutdown { task: REF, state: State(8) });
}

#[test]
fn flags_of_wakes_aborts_and_spawns() {
    check_wake(0, true, false, Completion::Unknown);
    check_wake(flags::PREDICTED, true, true, Completion::Unknown);
    check_wake(flags::UNOWNED | flags::COMPLETING, false, false, Completion::GoesOn);
    check_wake(flags::UNOWNED | flags::PREDICTED | flags::COMPLETED, false, true, Completion::Over);
    check_abort(0, false);
    check_abort(flags::PREDICTED, true);
    check_spawn(0, SpawnWay::Owned, Completion::Unknown);
    check_spawn(flags::BLOCKING | flags::COMPLETED, SpawnWay::Blocking, Completion::Over);
    check_spawn(flags::LOCAL | flags::COMPLETING, SpawnWay::Local, Completion::GoesOn);
}

#[test]
fn a_wake_in_a_turn() {
    let head = head(Kind::WakeInTurn, flags::COMPLETED);
    let record = |driver| record::WakeInTurn { head, task: TASK, old: 8, new: 9, caller: 10, turn: 11, driver };
    let what = |driver| What::Wake {
        task: REF,
        old: State(8),
        new: State(9),
        caller: 10,
        owned: true,
        predicted: false,
        moment: Moment { completion: Completion::Over, turn: Some(Turn { driver, sp: 11 }) },
    };
    check(&record(0), what(TurnOf::Io));
    check(&record(1), what(TurnOf::Time));
    check_err(record(2).as_bytes(), DecodeError::Contradiction { kind: head.kind, len: 96 });
}

#[test]
fn a_task_without_an_id_has_no_type() {
    let task = record::Task { id: 0, ..TASK };
    let end = record::PollEnd { head: head(Kind::PollEnd, 0), task, old: 8, new: 9 };
    let What::PollEnd { task, .. } = decode(end.as_bytes()).unwrap().what else { panic!() };
    assert_eq!(task, TaskRef { header: 0x1000, id: None, vtable: 0 });
}

#[test]
fn records_of_the_agent() {
    let gap = gap::GapRecord { head: Head { kind: gap::KIND, ..HEAD }, since: 8, lost: 9 };
    check(&gap, What::Gap { since: 8, lost: 9 });
    check(&Head { kind: thread_at_rest::KIND, ..HEAD }, What::ThreadAtRest);
    let name = *b"worker\x1b[31m\0\0\0\0\0";
    let record = name_of_thread::ThreadNameRecord { head: Head { kind: name_of_thread::KIND, ..HEAD }, name };
    check(&record, What::ThreadName { name: "worker\x1b[31m".into() });
}

/// A record of a request with one value, longer than it holds.
fn request() -> Vec<u8> {
    let fixed = record::Message {
        head: head(Kind::Message, 0),
        stream: 12,
        substream: 0,
        status: 0,
        source: Source::Descriptor as u8,
        flags: record::message::REQUEST | record::message::PATH_CUT,
        method_len: 3,
        path_len: 5,
        values: 1,
        grpc_status: record::NO_GRPC_STATUS,
        zero: 0,
    };
    [fixed.as_bytes(), b"GET", b"/a\x1bb\xff", &[1 | record::VALUE_CUT, 2], b"id"].concat()
}

#[test]
fn messages() {
    let connection = Connection { source: Source::Descriptor, key: 12 };
    let start = Start::Request { method: b"GET".to_vec(), path: b"/a\x1bb\xff".to_vec(), cut: true };
    let values = vec![Value { name: 1, bytes: b"id".to_vec(), cut: true }];
    let (by, early) = (None, false);
    let message = Message { connection, substream: 0, written: false, by, early, start, grpc_status: None, values };
    check(request().as_slice(), What::Message(Box::new(message.clone())));
    // The same, from a run in which it says which task the thread ran.
    let said = |flag: u8, id: u64, by| {
        let mut bytes = request();
        bytes[offset_of!(record::Message, flags)] |= record::message::BY | record::message::EARLY | flag;
        bytes.extend(id.to_ne_bytes());
        check(bytes.as_slice(), What::Message(Box::new(Message { by: Some(by), early: true, ..message.clone() })));
    };
    said(0, 7, Running::Task(TaskId(7)));
    said(0, 0, Running::Nothing);
    said(record::message::BY_UNREADABLE, 0, Running::Unknown);
    let stream = record::Stream {
        head: head(Kind::Stream, 0),
        stream: 12,
        source: Source::Tls as u8,
        change: Change::Lost as u8,
        zero: [0; 6],
    };
    let connection = Connection { source: Source::Tls, key: 12 };
    check(&stream, What::Stream { connection, change: Change::Lost });
}

#[test]
fn messages_that_contradict_themselves() {
    const METHOD_LEN: usize = 48;
    let (kind, len) = (Kind::Message as u8, request().len());
    for (place, byte) in [(46, 3), (47, 6), (47, 0), (METHOD_LEN, 2), (METHOD_LEN, 17), (50, 0), (50, 2), (50, 5)] {
        let mut bytes = request();
        bytes[place] = byte;
        check_err(&bytes, DecodeError::Contradiction { kind, len });
    }
    check_err(&request()[..len - 1], DecodeError::Contradiction { kind, len: len - 1 });
    check_err(&request()[..55], DecodeError::Length { kind, expected: 56, len: 55 });
}

#[test]
fn prints() {
    let fixed = |len, missing, ends_line| record::Print {
        head: head(Kind::Print, 0),
        missing,
        len,
        descriptor: 2,
        ends_line,
        zero: 0,
    };
    let bytes = b"a\xff\x1b\n".to_vec();
    let record = [fixed(4, 0, 0).as_bytes(), &bytes].concat();
    check(record.as_slice(), What::Print(Print { to: Standard::Error, bytes, missing: None }));
    let missing = Some(Missing { bytes: 7, ends_line: true });
    check(&fixed(0, 7, 1), What::Print(Print { to: Standard::Error, bytes: vec![], missing }));
    let (kind, len) = (Kind::Print as u8, record.len());
    for (place, byte) in [(40, 3), (40, 5), (41, 1), (42, 0), (42, 3), (43, 1), (43, 2)] {
        let mut bytes = record.clone();
        bytes[place] = byte;
        check_err(&bytes, DecodeError::Contradiction { kind, len });
    }
    check_err(&record[..len - 1], DecodeError::Contradiction { kind, len: len - 1 });
    check_err(&record[..47], DecodeError::Length { kind, expected: 48, len: 47 });
}

#[test]
fn names() {
    check_name(b"", "");
    check_name(b"main\0left", "main");
    check_name(b"tokio-rt-worker\0", "tokio-rt-worker");
    check_name(b"sixteen bytes ok", "sixteen bytes ok");
    check_name(b"more than sixteen bytes", "more than sixtee");
    check_name(b"cut inside \xc3", "cut inside \u{fffd}");
    check_name(b"no room for it\xc3", "no room for it");
    check_name(&[0xff; 15], "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    check_name("ééééééééé".as_bytes(), "éééééééé");
}

#[test]
fn wrong_lengths_and_kinds() {
    check_err(&[], DecodeError::Short { len: 0 });
    check_err(&[1; 31], DecodeError::Short { len: 31 });
    for kind in [0, 13, 63, 127, 255] {
        check_err(Head { kind, ..HEAD }.as_bytes(), DecodeError::UnknownKind { kind });
    }
    for (kind, expected) in [(1, 64), (2, 72), (3, 80), (4, 72), (5, 72), (6, 64), (7, 32), (8, 32)] {
        check_lengths(kind, expected);
    }
    for (kind, expected) in [(gap::KIND, 48), (name_of_thread::KIND, 48), (thread_at_rest::KIND, 32)] {
        check_lengths(kind, expected);
    }
}

/// A record of this kind is read at its own length only.
fn check_lengths(kind: u8, expected: usize) {
    let mut bytes = Head { kind, ..HEAD }.as_bytes().to_vec();
    bytes.resize(100, 0);
    for len in 32..100 {
        match decode(&bytes[..len]) {
            Ok(_) => assert_eq!(len, expected),
            Err(error) => assert_eq!(error, DecodeError::Length { kind, expected, len }),
        }
    }
    assert!(decode(&bytes[..expected]).is_ok());
}

proptest! {
    #[test]
    fn every_event_survives(event in arbitrary::event()) {
        let mut bytes = Vec::new();
        encode(&event, &mut bytes);
        prop_assert!(bytes.len() <= MAX_LEN);
        prop_assert_eq!(decode(&bytes), Ok(event));
    }

    /// Whatever a record says, what was understood of it is kept.
    #[test]
    fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), kind in 0..70_u8) {
        if let Some(byte) = bytes.get_mut(30) {
            *byte = kind;
        }
        if let Ok(event) = decode(&bytes) {
            let mut again = Vec::new();
            encode(&event, &mut again);
            prop_assert_eq!(again.len(), bytes.len());
            prop_assert_eq!(decode(&again), Ok(event));
        }
    }

    /// Bytes of the right length for their kind, so that most cases decode.
    #[test]
    fn any_values(bytes in any::<[u8; 32]>(), rest in any::<[u8; 32]>(), kind in 1..=8_u8) {
        let len = [64, 72, 80, 72, 72, 64, 32, 32][usize::from(kind) - 1];
        let mut record = [bytes, rest, rest].concat();
        record[30] = kind;
        record.truncate(len);
        let event = decode(&record).unwrap();
        let mut again = Vec::new();
        encode(&event, &mut again);
        prop_assert_eq!(decode(&again), Ok(event));
        // All but the flags, which an event keeps where they mean something.
        prop_assert_eq!(&again[..31], &record[..31]);
        prop_assert_eq!(&again[32..], &record[32..]);
    }
}
