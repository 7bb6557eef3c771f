//! Checks before and after hooks go in.

use std::collections::HashSet;

use anyhow::{Error, Result, anyhow, bail};

use crate::{probe::Image, session::privileges};
use asyncscope_discovery::{
    addr::{Bias, RuntimeAddr},
    error::TargetError,
    process::{
        Process,
        memory_limit::{self, Room},
    },
    tokio::plan::Placement,
};

/// Returns the error, or the target's end, or its becoming another program, of which it may only be a consequence.
pub(super) fn gone_or(process: &Process, error: Error) -> Error {
    let first = process.with_first_thread();
    if process.became_another() {
        return TargetError::BecameAnother(process.pid).into();
    }
    if process.is_ending() {
        return TargetError::Ended(process.pid).into();
    }
    first.map_or_else(Error::from, |()| error)
}

/// Checks that the process is still the program that was looked at.
pub(super) fn check_identity(process: &Process) -> Result<()> {
    process.with_first_thread()?;
    if process.became_another() {
        return Err(TargetError::BecameAnother(process.pid).into());
    }
    Ok(())
}

/// Checks that there is room for a copy of each page with a hook in it. Twice as much is asked for, and a little more
/// for the kernel's own, as the target goes on meanwhile.
pub(super) fn check_room(process: &Process, images: &[Image]) -> Result<()> {
    const KIB: u64 = 1024;
    const PAGE: u64 = 4 * KIB;
    const MORE: u64 = 256 * KIB;
    let pages = |image: &Image| image.placements.iter().map(|at| at.offset.0 / PAGE).collect::<HashSet<_>>().len();
    let needed = images.iter().map(|image| pages(image) as u64).sum::<u64>() * 2 * PAGE + MORE;
    match memory_limit::of(process) {
        Some(Room { cgroup, left }) if left < needed => Err(TargetError::NoRoom {
            pid: process.pid,
            cgroup: cgroup.display().to_string(),
            left: left / KIB,
            needed: needed / KIB,
        }
        .into()),
        _ => Ok(()),
    }
}

/// Checks that the code in memory is the file's at every hook, or a probe would sit inside an instruction. A
/// breakpoint of another tracer at an instruction's first byte is no difference: the kernel keeps both.
pub(super) fn check_memory(process: &Process, file: &str, placements: &[Placement], bias: Bias) -> Result<()> {
    const BREAKPOINT: u8 = 0xcc;
    if !process.is_readable() {
        if process.is_ending() {
            return Err(TargetError::Ended(process.pid).into());
        }
        return Err(TargetError::NotPermitted { pid: process.pid, refusal: privileges::why_not_traced() }.into());
    }
    for placement in placements {
        let RuntimeAddr(address) = placement.address.at_runtime(bias);
        let mut bytes = vec![0; placement.bytes.len()];
        if process.read_memory(RuntimeAddr(address), &mut bytes) < bytes.len() {
            let error = anyhow!("the code of process {} at {address:#x} cannot be read", process.pid);
            return Err(gone_or(process, error));
        }
        let same = bytes == placement.bytes || (bytes[0] == BREAKPOINT && bytes[1..] == placement.bytes[1..]);
        if !same {
            bail!(
                "the code of process {} at {address:#x} is not that of {}: something has patched it, and asyncscope \
                 does not place probes in patched code",
                process.pid,
                file.escape_debug()
            );
        }
    }
    Ok(())
}
