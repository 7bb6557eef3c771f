use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::event::arbitrary;
use crate::event::{At, Event, State, TaskId, TaskRef, What};
use crate::facts::{Facts, NotSeen, ProcessFacts, TaskType};

fn facts(name: &str) -> Facts {
    let process = ProcessFacts { pid: 4, name: name.into(), ..ProcessFacts::default() };
    let types = vec![TaskType { vtable: 0x5000, name: Some("svc::fetch".into()), ..TaskType::default() }];
    Facts { process, types, ..Facts::default() }
}

fn event(seq: u64) -> Event {
    let at = At { time: 1_000 + seq * 10, cpu: 1, seq, tid: 7, sp: 0x7fff_0000 };
    let task = TaskRef { header: 0x1000, id: Some(TaskId(seq / 2 + 1)), vtable: 0x5000 };
    Event { at, what: What::PollStart { task, state: State(0xcd) } }
}

fn loss(count: u64) -> Vec<NotSeen> {
    vec![NotSeen::new("ring-full", count)]
}

/// A whole recording with three blocks of two events each.
fn small() -> Vec<u8> {
    let mut writer = Writer::create(Vec::new(), &facts("svc")).unwrap();
    for seq in 0..6 {
        writer.write(&event(seq)).unwrap();
        if seq % 2 == 1 {
            writer.flush().unwrap();
        }
    }
    writer.finish(5_000, &loss(3)).unwrap()
}

/// A recording that consists of one facts block and then `block`, whose checksum is made right.
fn with_block(kind: u8, codec: u8, raw_len: u32, stored: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer::create(&mut bytes, &facts("svc")).unwrap();
    bytes.extend_from_slice(&sealed(kind, codec, raw_len, stored));
    bytes
}

fn sealed(kind: u8, codec: u8, raw_len: u32, stored: &[u8]) -> Vec<u8> {
    let mut block = b"ABLK".to_vec();
    block.extend_from_slice(&[kind, codec, 0, 0]);
    block.extend_from_slice(&raw_len.to_le_bytes());
    block.extend_from_slice(&u32::try_from(stored.len()).unwrap().to_le_bytes());
    let crc = crc32fast::hash(&[&block, stored].concat());
    block.extend_from_slice(&crc.to_le_bytes());
    block.extend_from_slice(stored);
    block
}

fn events_of(bytes: &[u8]) -> (Result<Recording, ReadError>, Vec<Event>) {
    let mut events = Vec::new();
    let recording = read(bytes, &mut |event| events.push(event));
    (recording, events)
}

fn read_ok(bytes: &[u8]) -> (Recording, Vec<Event>) {
    let (recording, events) = events_of(bytes);
    let recording = recording.unwrap();
    assert_eq!(recording.events, events.len() as u64);
    (recording, events)
}

fn check_error(bytes: &[u8], said: &str) {
    let (recording, events) = events_of(bytes);
    assert_eq!(events, []);
    assert_eq!(recording.unwrap_err().to_string(), said);
}

fn check_trouble(bytes: &[u8], said: &str) {
    let (recording, _) = read_ok(bytes);
    assert_eq!(recording.trouble().as_deref(), Some(said));
}

#[test]
fn a_whole_recording() {
    let (recording, events) = read_ok(&small());
    assert_eq!(events, (0..6).map(event).collect::<Vec<_>>());
    assert_eq!(recording.facts, facts("svc"));
    assert_eq!(recording.end_ns, Some(5_000));
    assert_eq!(recording.loss, loss(3));
    assert_eq!(recording.blocks, 6);
    assert_eq!(recording.bytes, small().len() as u64);
    assert_eq!(recording.trouble(), None);
}

#[test]
fn the_last_facts_and_losses_win() {
    let mut bytes = Vec::new();
    let mut writer = Writer::create(&mut bytes, &facts("first")).unwrap();
    writer.loss(&loss(1)).unwrap();
    writer.write(&event(0)).unwrap();
    writer.facts(&facts("last")).unwrap();
    writer.loss(&loss(2)).unwrap();

    assert_eq!(Reader::new(&bytes[..]).unwrap().facts(), &facts("first"));
    let (recording, events) = read_ok(&bytes);
    assert_eq!(recording.facts, facts("last"));
    assert_eq!(recording.loss, loss(2));
    assert_eq!(events, [event(0)]);
    assert_eq!(recording.end_ns, None);
    let said = recording.trouble().unwrap();
    assert!(said.ends_with("has no end: its recorder was stopped before it could write one"), "{said}");
}

#[test]
fn what_is_no_recording() {
    check_error(b"", "the file ends after 0 bytes, inside the 16 bytes that each recording starts with");
    check_error(b"ASCOPE\r", "the file ends after 7 bytes, inside the 16 bytes that each recording starts with");
    let other = "the file is no asyncscope recording: it does not start like one";
    check_error(b"PERFILE2", other);
    check_error(b"\x7fELF", other);
    check_error(b"ASCOPE\n\n\x01\0\0\0\0\0\0\0", other);
    check_error(b"ASCOPE\r\n\x00\0\0\0\0\0\0\0", other);
    check_error(b"ASCOPE\r\n\x02\0\0\0\0\0\0\x01", other);
}

#[test]
fn other_versions_are_refused_by_their_number() {
    let check_version = |found: u32, last: &str| {
        let mut bytes = small();
        bytes[8..12].copy_from_slice(&found.to_le_bytes());
        let said =
            format!("the recording was written in version {found} of the format, and this asyncscope reads version 2");
        check_error(&bytes, &format!("{said}: use {last} one"));
    };
    check_version(1, "an earlier");
    check_version(3, "a later");
    check_version(u32::MAX, "a later");
}

#[test]
fn no_facts() {
    let check_no_facts = |block: &[u8], what: &str| {
        let bytes = [&small()[..HEADER_LEN], block].concat();
        let said = "the recording's facts about its target, at byte 16, cannot be read, and without them its events mean nothing: the block";
        check_error(&bytes, &format!("{said} {what}"));
    };
    check_no_facts(b"", "is cut off: the file ends inside of it");
    check_no_facts(b"ABLK", "is cut off: the file ends inside of it");
    check_no_facts(&[0; 20], "does not start as blocks do");
    check_no_facts(&sealed(2, 0, 0, b""), "is of kind 2, not facts");
    check_no_facts(&sealed(1, 0, 0, b""), "holds JSON that cannot be read from line 1, column 0 on");
}

#[test]
fn blocks_that_no_writer_wrote() {
    let start = with_block(9, 0, 0, b"").len() - 20;
    let check_block = |kind, codec, raw_len, stored: &[u8], what: &str| {
        let said = format!(
            "read 1 block, 0 events, {start} bytes; the rest cannot be used, as the block at byte {start} {what}"
        );
        check_trouble(&with_block(kind, codec, raw_len, stored), &said);
    };
    let bomb = u32::MAX;
    check_block(2, 1, bomb, b"x", "claims 1 bytes, 4294967295 when decompressed, where at most 4194304 are possible");
    check_block(3, 1, bomb, b"x", "claims 1 bytes, 4294967295 when decompressed, where at most 65536 are possible");
    check_block(2, 0, 1, b"xy", "claims 2 bytes, 1 when decompressed, where at most 4194304 are possible");
    check_block(2, 0, 2, b"x", "cannot be decompressed");
    check_block(2, 1, 4 << 20, b"x", "cannot be decompressed");
    check_block(2, 1, 9, &lz4_flex::block::compress(b"12345678"), "cannot be decompressed");
    check_block(2, 7, 1, b"x", "is compressed in a way that is not known here (7)");
    check_block(2, 0, 1, b"x", "ends inside a record");
    check_block(2, 0, 3, b"\x02\0x", "ends inside a record");
    check_block(
        2,
        0,
        3,
        b"\x01\0x",
        "holds a bad record: a record of 1 bytes is shorter than the 32 that each starts with",
    );
    check_block(3, 0, 1, b"[", "holds JSON that cannot be read from line 1, column 1 on");
}

#[test]
fn a_length_beyond_the_file_allocates_nothing() {
    let mut bytes = with_block(2, 0, 4 << 20, b"");
    let len = bytes.len();
    // The stored length: as much as is allowed.
    bytes[len - 8..len - 4].copy_from_slice(&(4_u32 << 20).to_le_bytes());
    let (recording, _) = read_ok(&bytes);
    assert!(matches!(recording.damage.unwrap().what, DamageKind::CutOff));
}

#[test]
fn what_only_a_later_version_knows_is_passed_over() {
    let mut record = vec![0; 40];
    record[30] = 99;
    let records = [&[40, 0][..], &record].concat();
    let mut bytes = with_block(200, 9, 1, b"x");
    bytes.extend_from_slice(&sealed(2, 0, 42, &records));
    bytes.extend_from_slice(&sealed(4, 0, 18, br#"{"monotonic_ns":5}"#));
    let (recording, events) = read_ok(&bytes);
    assert_eq!((events.len(), recording.skipped, recording.end_ns), (0, 1, Some(5)));
    let said = recording.trouble().unwrap();
    assert!(said.ends_with("; records passed over, as only a later asyncscope knows their kinds: 1"), "{said}");
}

#[test]
fn cut_off_anywhere_it_gives_a_prefix() {
    let whole = small();
    let all: Vec<_> = (0..6).map(event).collect();
    let mut seen = 0;
    for len in 0..whole.len() {
        let (recording, events) = events_of(&whole[..len]);
        assert!(all.starts_with(&events), "at {len}");
        assert!(events.len() >= seen, "more of the file must not give fewer events");
        seen = events.len();
        let Ok(recording) = recording else { continue };
        assert!(recording.trouble().is_some(), "at {len}");
        let left = len as u64 - recording.bytes;
        assert_eq!(recording.damage.is_some(), left > 0, "at {len}");
    }
    assert_eq!(seen, all.len());
}

#[test]
fn a_changed_byte_never_makes_an_event() {
    let whole = small();
    let all: Vec<_> = (0..6).map(event).collect();
    for at in 0..whole.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            let (recording, events) = events_of(&bytes);
            assert!(all.starts_with(&events), "at {at}");
            assert!(recording.is_err_and(|_| events.is_empty()) || events.len() <= all.len());
            let noticed = events_of(&bytes).0.map_or(true, |recording| recording.damage.is_some());
            assert!(noticed, "the change at {at} went unnoticed");
        }
    }
}

#[test]
fn sizes_and_counts_are_said_for_people() {
    let said = |blocks, events, bytes| Recording { events, blocks, bytes, ..Recording::default() }.to_string();
    assert_eq!(said(12, 34_567, 1_234_567), "read 12 blocks, 34 567 events, 1.2 MB");
    assert_eq!(said(1, 0, 999), "read 1 block, 0 events, 999 bytes");
    assert_eq!(said(1_000, 1_002_003, 1_000), "read 1 000 blocks, 1 002 003 events, 1.0 kB");
}

/// Counts writes, and fails all of them after a number.
struct Counting {
    writes: usize,
    fail_from: usize,
}

impl Write for &mut Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.writes > self.fail_from { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_block_is_one_write() {
    let mut out = Counting { writes: 0, fail_from: 100 };
    let mut writer = Writer::create(&mut out, &facts("svc")).unwrap();
    writer.flush().unwrap();
    for seq in 0..10_000 {
        writer.write(&event(seq)).unwrap();
    }
    writer.finish(0, &[]).unwrap();
    // Facts, 660 000 bytes of records, losses, the end.
    assert_eq!(out.writes, 1 + 3 + 2);
}

#[test]
fn after_a_failure_nothing_more_is_written() {
    let mut out = Counting { writes: 0, fail_from: 1 };
    let mut writer = Writer::create(&mut out, &facts("svc")).unwrap();
    writer.write(&event(0)).unwrap();
    assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(writer.loss(&[]).is_err());
    assert!(writer.finish(0, &[]).is_err());
    assert_eq!(out.writes, 2);
}

/// Gives a byte at a time, then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(1);
        if self.0.is_empty() { Err(io::ErrorKind::Other.into()) } else { self.0.read(&mut buffer[..len]) }
    }
}

#[test]
fn a_file_that_cannot_be_read_further_gives_what_was_read() {
    let whole = small();
    let mut events = 0;
    let recording = read(Failing(&whole), &mut |_| events += 1).unwrap();
    assert_eq!(events, 6);
    assert!(matches!(recording.damage.unwrap().what, DamageKind::Io(_)));
    assert!(matches!(read(Failing(&whole[..9]), &mut |_| {}), Err(ReadError::Io(_))));
}

fn write_all(events: &[Event], flushes: &[bool]) -> Vec<u8> {
    let mut writer = Writer::create(Vec::new(), &facts("svc")).unwrap();
    for (n, event) in events.iter().enumerate() {
        writer.write(event).unwrap();
        if flushes.get(n).is_some_and(|flush| *flush) {
            writer.flush().unwrap();
        }
    }
    writer.finish(1, &[]).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        events in vec(arbitrary::event(), 0..100),
        flushes in vec(any::<bool>(), 100),
    ) {
        let bytes = write_all(&events, &flushes);
        let (recording, seen) = read_ok(&bytes);
        prop_assert_eq!(&seen, &events);
        prop_assert!(recording.trouble().is_none());
        prop_assert_eq!(write_all(&seen, &flushes), bytes);
    }

    #[test]
    fn any_tail(events in vec(arbitrary::event(), 0..20), tail in vec(any::<u8>(), 1..100)) {
        let mut bytes = write_all(&events, &[]);
        bytes.extend_from_slice(&tail);
        let (recording, seen) = read_ok(&bytes);
        prop_assert_eq!(seen, events);
        prop_assert!(recording.damage.is_some());
    }

    /// Payloads that reach the decoders with a right checksum.
    #[test]
    fn any_payload(kind in 0..6_u8, codec in 0..3_u8, raw_len in 0..2000_u32, payload in vec(any::<u8>(), 0..100)) {
        let _ = events_of(&with_block(kind, codec, raw_len, &payload));
    }
}
