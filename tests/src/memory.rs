//! The memory of a process, looked through from outside while it stands still.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use anyhow::{Result, ensure};

use crate::process::Running;

/// Stops the process, looks for `secret` in all of its memory, and lets it go on. Returns how many bytes were
/// looked at. They must hold `known`, which the process has on its heap: else the search would find nothing.
///
/// # Errors
///
/// If `secret` is there or `known` is not, or the memory cannot be read.
pub fn without(process: &mut Running, secret: &[u8], known: &[u8]) -> Result<usize> {
    process.signal(libc::SIGSTOP)?;
    let looked = look_for(process.pid(), secret, known);
    process.signal(libc::SIGCONT)?;
    looked
}

fn look_for(pid: u32, secret: &[u8], known: &[u8]) -> Result<usize> {
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let (mut scanned, mut is_known) = (0, false);
    for line in fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let Some((range, rest)) = line.split_once(' ') else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        if !rest.starts_with('r') || rest.contains("[v") {
            continue;
        }
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; usize::try_from(end - start)?];
        // A page may be gone meanwhile.
        let Ok(len) = memory.read_at(&mut bytes, start) else { continue };
        let holds = |what: &[u8]| bytes[..len].windows(what.len()).any(|window| window == what);
        scanned += len;
        is_known |= line.ends_with("[heap]") && holds(known);
        ensure!(!holds(secret), "the memory holds {}, at {line}", String::from_utf8_lossy(secret));
    }
    ensure!(is_known, "of {scanned} bytes, none on the heap hold {}", String::from_utf8_lossy(known));
    Ok(scanned)
}
