//! The independent count: bpftrace says every entry into the same poll functions, with the task's id
//! and state as they stand in its header.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::process::Running;

use super::offsets::Offsets;
use super::programs::Server;

const ATTACH_MAX: Duration = Duration::from_mins(1);
/// Removing some hundred probes takes a while.
const DETACH_MAX: Duration = Duration::from_mins(1);
/// bpftrace's buffer for each CPU, in pages: none of some ten thousand lines may be lost.
const PAGES: &str = "2048";
/// RUNNING, COMPLETE, CANCELLED: an entry that finds one of these set does not poll.
/// <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/state.rs#L27-L52>
const NO_POLL: u64 = 0b10_0011;

/// An entry into a poll function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) time_ns: u64,
    pub(super) task: u64,
    /// `true` if the state allows a poll.
    pub(super) polls: bool,
}

/// bpftrace, attached.
#[derive(Debug)]
pub(super) struct Counting {
    running: Running,
    reported: PathBuf,
    errors: PathBuf,
}

impl Counting {
    /// Attaches; returns once it has counted polls of the server's.
    pub(super) fn start(executable: &Path, found: &Inspection, folder: &Path, server: &Server) -> Result<Self> {
        let (script, reported, errors) =
            (folder.join("polls.bt"), folder.join("polls.txt"), folder.join("bpftrace.txt"));
        fs::write(&script, program(executable, &places(executable, found)?, server.pid()))?;
        let mut bpftrace = Command::new("bpftrace");
        // Without --unsafe it refuses addresses for which the file has no symbol.
        bpftrace.args(["--unsafe", "-B", "line"]).arg(&script);
        bpftrace.env("BPFTRACE_PERF_RB_PAGES", PAGES).env("BPFTRACE_MAX_PROBES", "4096");
        bpftrace.stdout(File::create(&reported)?).stderr(File::create(&errors)?);
        let mut running = Running::start_unread(&mut bpftrace)?;
        let counts = || {
            server.ask().ok()?;
            read(&reported).ok().filter(|entries| !entries.is_empty())
        };
        let counts = running.until("bpftrace counted a poll", ATTACH_MAX, counts);
        counts.with_context(|| fs::read_to_string(&errors).unwrap_or_default())?;
        Ok(Self { running, reported, errors })
    }

    /// Ends it; all entries that it saw.
    pub(super) fn stop(self) -> Result<Vec<Entry>> {
        self.running.interrupt(DETACH_MAX)?;
        let errors = fs::read_to_string(&self.errors)?;
        let reported = fs::read_to_string(&self.reported)?;
        ensure!(!errors.contains("Lost") && !reported.contains("Lost"), "bpftrace lost events: {}", errors.trim());
        read(&self.reported)
    }
}

/// The poll functions as bpftrace wants them: where a file has symbols it takes addresses, and looks for
/// the symbol around each; in a stripped one it takes the number for an offset into the file.
fn places(executable: &Path, found: &Inspection) -> Result<Vec<u64>> {
    if found.symbols > 0 {
        return Ok(found.polls().collect());
    }
    let offsets = Offsets::read(executable)?;
    let offset = |address| offsets.of_address(address).with_context(|| format!("{address:#x} is not in the file"));
    found.polls().map(offset).collect()
}

/// The task's id lies in its cell, as far from the header as its vtable says behind seven functions and
/// two offsets; the vtable is the header's third word. Other processes may run the same file, and some
/// versions of bpftrace count them whatever `-p` says.
fn program(executable: &Path, polls: &[u64], pid: u32) -> String {
    let probes: Vec<String> = polls.iter().map(|place| format!("uprobe:{}:{place:#x}", executable.display())).collect();
    let program = probes.join(",\n") + &format!("\n/pid == {pid}/\n");
    program
        + "{\n  $vtable = *(uint64 *)(arg0 + 16);\n  $id = *(uint64 *)(arg0 + *(uint64 *)($vtable + 72));\n  \
           printf(\"poll %llu %llu %llu\\n\", nsecs, $id, *(uint64 *)arg0);\n}\n"
}

fn read(reported: &Path) -> Result<Vec<Entry>> {
    let reported = fs::read_to_string(reported)?;
    // The last line may be half written.
    let whole = reported.rfind('\n').map_or("", |end| &reported[..end]);
    Ok(whole.lines().filter_map(entry).collect())
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.strip_prefix("poll ")?.split(' ').map(|word| word.parse::<u64>().ok());
    let (time_ns, task, state) = (words.next()??, words.next()??, words.next()??);
    Some(Entry { time_ns, task, polls: state & NO_POLL == 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_entries() {
        let check = |line: &str, expected| assert_eq!(entry(line), expected, "{line}");
        check("poll 100 7 204", Some(Entry { time_ns: 100, task: 7, polls: true }));
        check("poll 100 7 236", Some(Entry { time_ns: 100, task: 7, polls: false }));
        check("Attaching 3 probes...", None);
        check("poll 100 7", None);
    }
}
