//! Reading a recording, as far as it can be read.

use std::fmt;
use std::io::{self, Read};

use super::block::{BlockHead, END, EVENTS, FACTS, HEAD_LEN, LOSS, RecordingEnd};
use super::error::{Damage, DamageKind, ReadError};
use super::{HEADER_LEN, MAGIC, VERSION};
use crate::event::Event;
use crate::event::decode::{DecodeError, decode};
use crate::facts::{Facts, NotSeen};

/// The contents of a recording beside its events, and how much of it could be read.
#[derive(Debug, Default)]
pub struct Recording {
    /// The last facts.
    pub facts: Facts,
    /// The time at which the recording ended, in nanoseconds of `CLOCK_MONOTONIC`; `None` if its recorder was
    /// stopped before that.
    pub end_ns: Option<u64>,
    /// The last counts of what was not seen.
    pub loss: Vec<NotSeen>,
    /// The damage that kept the rest from being read; `None` if all was read.
    pub damage: Option<Damage>,
    /// The number of events read.
    pub events: u64,
    /// The number of records passed over, being of kinds that a later asyncscope has added.
    pub skipped: u64,
    /// The number of blocks read.
    pub blocks: u64,
    /// The number of bytes of the file that were read: up to the end, or to the damage.
    pub bytes: u64,
}

/// Reads a recording whose events are not wanted before its last facts are.
///
/// # Errors
/// If it is none, or its first facts cannot be read. Later damage is no error: see
/// [`Recording::damage`].
pub fn read(from: impl Read, sink: &mut dyn FnMut(Event)) -> Result<Recording, ReadError> {
    Ok(Reader::new(from)?.read(sink))
}

/// Reads a recording.
#[derive(Debug)]
pub struct Reader<R> {
    blocks: Blocks<R>,
    recording: Recording,
}

impl<R: Read> Reader<R> {
    /// Reads the header and the first facts.
    ///
    /// # Errors
    /// If either cannot be read.
    pub fn new(from: R) -> Result<Self, ReadError> {
        let mut blocks = Blocks { from, offset: 0, stored: Vec::new(), raw: Vec::new() };
        blocks.read_header()?;
        let mut reader = Self { blocks, recording: Recording::default() };
        let offset = reader.blocks.offset;
        reader.read_first_facts().map_err(|what| ReadError::NoFacts { offset, what })?;
        Ok(reader)
    }

    /// The first facts. Those in [`Reader::read`]'s result are the last, and may know more.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.recording.facts
    }

    /// Hands all events to `sink`, in the order in which they were written.
    #[must_use]
    pub fn read(self, sink: &mut dyn FnMut(Event)) -> Recording {
        self.read_known(&mut |_, event| sink(event))
    }

    /// Hands all events to `sink` in the order in which they were written, each with the facts reported by then.
    #[must_use]
    pub fn read_known(mut self, sink: &mut dyn FnMut(&Facts, Event)) -> Recording {
        loop {
            let offset = self.blocks.offset;
            self.recording.bytes = offset;
            match self.read_block(sink) {
                Ok(true) => self.recording.blocks += 1,
                Ok(false) => break,
                Err(what) => {
                    self.recording.damage = Some(Damage { offset, what });
                    break;
                }
            }
        }
        self.recording
    }

    fn read_first_facts(&mut self) -> Result<(), DamageKind> {
        match self.blocks.next()? {
            Some(FACTS) => self.recording.facts = json(&self.blocks.raw)?,
            Some(kind) => return Err(DamageKind::NotFacts(kind)),
            None => return Err(DamageKind::CutOff),
        }
        self.recording.blocks = 1;
        Ok(())
    }

    /// Reads a block; false at the end of the file. Blocks of unknown kinds are a later version's.
    fn read_block(&mut self, sink: &mut dyn FnMut(&Facts, Event)) -> Result<bool, DamageKind> {
        let Some(kind) = self.blocks.next()? else {
            return Ok(false);
        };
        let raw = &self.blocks.raw;
        match kind {
            FACTS => self.recording.facts = json(raw)?,
            EVENTS => self.recording.read_events(raw, sink)?,
            LOSS => self.recording.loss = json(raw)?,
            END => self.recording.end_ns = Some(json::<RecordingEnd>(raw)?.monotonic_ns),
            _later => {}
        }
        Ok(true)
    }
}

impl Recording {
    fn read_events(&mut self, mut raw: &[u8], sink: &mut dyn FnMut(&Facts, Event)) -> Result<(), DamageKind> {
        while !raw.is_empty() {
            let (len, rest) = raw.split_first_chunk().ok_or(DamageKind::RecordCutOff)?;
            let len = usize::from(u16::from_le_bytes(*len));
            let (record, rest) = rest.split_at_checked(len).ok_or(DamageKind::RecordCutOff)?;
            raw = rest;
            match decode(record) {
                Ok(event) => {
                    self.events += 1;
                    sink(&self.facts, event);
                }
                Err(DecodeError::UnknownKind { .. }) => self.skipped += 1,
                Err(error) => return Err(DamageKind::Record(error)),
            }
        }
        Ok(())
    }

    /// Returns what is to be said if the recording is not whole, as one sentence without a full stop.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let mut said = self.to_string();
        match &self.damage {
            Some(Damage { offset, what }) => {
                said += &format!("; the rest cannot be used, as the block at byte {offset} {what}");
            }
            None if self.end_ns.is_none() => {
                said += "; the recording has no end: its recorder was stopped before it could write one";
            }
            None if self.skipped == 0 => return None,
            None => {}
        }
        if self.skipped > 0 {
            let skipped = Grouped(self.skipped);
            said += &format!("; records passed over, as only a later asyncscope knows their kinds: {skipped}");
        }
        Some(said)
    }
}

/// Reports how much was read: `read 12 blocks, 34 567 events, 1.2 MB`.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (blocks, events) = (Grouped(self.blocks), Grouped(self.events));
        let plural = |n| if n == 1 { "" } else { "s" };
        write!(f, "read {blocks} block{}, ", plural(self.blocks))?;
        write!(f, "{events} event{}, ", plural(self.events))?;
        match self.bytes {
            bytes @ ..1_000 => write!(f, "{bytes} bytes"),
            bytes @ ..1_000_000 => write!(f, "{:.1} kB", bytes as f64 / 1e3),
            bytes => write!(f, "{:.1} MB", bytes as f64 / 1e6),
        }
    }
}

/// A number with a space before each group of three digits.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ ..1_000 => write!(f, "{n}"),
            n => write!(f, "{} {:03}", Self(n / 1_000), n % 1_000),
        }
    }
}

fn json<T: serde::de::DeserializeOwned>(raw: &[u8]) -> Result<T, DamageKind> {
    serde_json::from_slice(raw).map_err(DamageKind::Json)
}

/// The blocks of a file, one after the other.
#[derive(Debug)]
struct Blocks<R> {
    from: R,
    /// The number of bytes of the file that have been used: the start of the next block.
    offset: u64,
    /// The last block's payload as stored. Kept for its capacity.
    stored: Vec<u8>,
    /// The last block's payload.
    raw: Vec<u8>,
}

impl<R: Read> Blocks<R> {
    fn read_header(&mut self) -> Result<(), ReadError> {
        let mut header = [0; HEADER_LEN];
        let len = fill(&mut self.from, &mut header)?;
        if header[..len.min(MAGIC.len())] != MAGIC[..len.min(MAGIC.len())] {
            return Err(ReadError::NotARecording);
        }
        if len < HEADER_LEN {
            return Err(ReadError::Short { len });
        }
        let [.., v0, v1, v2, v3, z0, z1, z2, z3] = header;
        match u32::from_le_bytes([v0, v1, v2, v3]) {
            0 => return Err(ReadError::NotARecording),
            VERSION if [z0, z1, z2, z3] == [0; 4] => {}
            VERSION => return Err(ReadError::NotARecording),
            found => return Err(ReadError::OtherVersion { found }),
        }
        self.offset = HEADER_LEN as u64;
        Ok(())
    }

    /// Leaves the next block's payload in `raw`, if its kind is known, and returns the kind; `None` at the
    /// end of the file.
    fn next(&mut self) -> Result<Option<u8>, DamageKind> {
        let mut bytes = [0; HEAD_LEN];
        match fill(&mut self.from, &mut bytes).map_err(DamageKind::Io)? {
            0 => return Ok(None),
            HEAD_LEN => {}
            _ => return Err(DamageKind::CutOff),
        }
        let head = BlockHead::parse(&bytes)?;
        self.stored.clear();
        // Grows with what the file really holds, whatever the head claims.
        let mut payload = self.from.by_ref().take(head.stored_len.into());
        let len = payload.read_to_end(&mut self.stored).map_err(DamageKind::Io)?;
        if len < head.stored_len as usize {
            return Err(DamageKind::CutOff);
        }
        if !BlockHead::is_intact(&bytes, &self.stored) {
            return Err(DamageKind::Checksum);
        }
        if head.is_known() {
            head.unpack(&self.stored, &mut self.raw)?;
        }
        self.offset += (HEAD_LEN + len) as u64;
        Ok(Some(head.kind))
    }
}

/// Reads until `buffer` is full or the file ends; returns how many bytes were read.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}
