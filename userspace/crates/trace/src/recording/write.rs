//! Writing a recording.

use std::io::{self, Write};

use super::block::{self, END, EVENTS, FACTS, LOSS, RecordingEnd};
use super::{HEADER_LEN, MAGIC, VERSION};
use crate::event::Event;
use crate::event::encode::encode;
use crate::facts::{Facts, NotSeen};

/// A block of events is closed when it holds this many bytes, before compression.
const BLOCK_LEN: usize = 256 << 10;

/// Writes a recording.
///
/// Each block goes out with one `write_all`. After a failure nothing more is written, as it would stand
/// behind half a block, where nobody could read it. Dropping the writer loses the events since the last
/// [`Writer::flush`].
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// The records of the open block.
    records: Vec<u8>,
    /// The bytes of the block that is being written: kept for its capacity.
    bytes: Vec<u8>,
    failed: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a recording: writes its header and the first facts.
    ///
    /// # Errors
    /// If `out` fails, or the facts are longer than a block may be.
    pub fn create(out: W, facts: &Facts) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let mut writer = Self { out, records: Vec::new(), bytes, failed: false };
        writer.block(FACTS, &serde_json::to_vec(facts)?)?;
        Ok(writer)
    }

    /// Adds an event to the open block; writes the block if it is full.
    ///
    /// # Errors
    /// If `out` fails, or failed earlier.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let start = self.records.len();
        self.records.extend_from_slice(&[0; 2]);
        encode(event, &mut self.records);
        // A record has at most `encode::MAX_LEN` bytes.
        let len = (self.records.len() - start - 2) as u16;
        self.records[start..start + 2].copy_from_slice(&len.to_le_bytes());
        if self.records.len() >= BLOCK_LEN { self.flush() } else { Ok(()) }
    }

    /// Writes the open block, if there is anything in it: what was recorded so far outlives a crash.
    ///
    /// # Errors
    /// If `out` fails, or failed earlier.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let mut records = std::mem::take(&mut self.records);
        let written = self.block(EVENTS, &records);
        records.clear();
        self.records = records;
        written
    }

    /// Replaces the facts.
    ///
    /// # Errors
    /// If `out` fails, or failed earlier, or the facts are longer than a block may be.
    pub fn facts(&mut self, facts: &Facts) -> io::Result<()> {
        self.json(FACTS, facts)
    }

    /// Replaces the counts of what was not seen.
    ///
    /// # Errors
    /// If `out` fails, or failed earlier.
    pub fn loss(&mut self, loss: &[NotSeen]) -> io::Result<()> {
        self.json(LOSS, loss)
    }

    /// Ends the recording at `end_ns`, in nanoseconds of `CLOCK_MONOTONIC`, and gives `out` back.
    ///
    /// # Errors
    /// If `out` fails, or failed earlier.
    pub fn finish(mut self, end_ns: u64, loss: &[NotSeen]) -> io::Result<W> {
        self.loss(loss)?;
        self.json(END, &RecordingEnd { monotonic_ns: end_ns })?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Writes the open block and then one with `value`.
    fn json(&mut self, kind: u8, value: &(impl serde::Serialize + ?Sized)) -> io::Result<()> {
        self.flush()?;
        self.block(kind, &serde_json::to_vec(value)?)
    }

    /// Writes a block, after what may be in `bytes` already.
    fn block(&mut self, kind: u8, raw: &[u8]) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write to the recording failed"));
        }
        block::append(kind, raw, &mut self.bytes)?;
        let written = self.out.write_all(&self.bytes);
        self.bytes.clear();
        // Facts may be long, and are written now and then.
        self.bytes.shrink_to(2 * BLOCK_LEN);
        self.failed = written.is_err();
        written
    }
}
