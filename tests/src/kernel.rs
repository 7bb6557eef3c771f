//! What the kernel allows, and what of BPF it holds.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

/// A kind of BPF object that has system-wide ids; the value is the `bpf` command that lists them.
///
/// Source: `enum bpf_cmd` in
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum BpfObject {
    /// A program.
    Program = 11,
    /// A map.
    Map = 12,
    /// A link.
    Link = 31,
}

/// The part of `union bpf_attr` that these commands use.
#[repr(C)]
#[derive(Default)]
struct NextId {
    start: u32,
    next: u32,
    open_flags: u32,
}

/// The ids of everything of BPF in the kernel.
///
/// # Errors
///
/// If the kernel refuses to list them.
pub fn bpf_objects() -> io::Result<BTreeSet<(BpfObject, u32)>> {
    let mut all = BTreeSet::new();
    for kind in [BpfObject::Program, BpfObject::Map, BpfObject::Link] {
        let mut id = 0;
        while let Some(next) = next_id(kind, id)? {
            all.insert((kind, next));
            id = next;
        }
    }
    Ok(all)
}

/// Returns why this process may not trace, or `None` if it may.
#[must_use]
pub fn forbids_tracing() -> Option<String> {
    // SAFETY: the call has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return Some("not root".to_owned());
    }
    if !Path::new("/sys/bus/event_source/devices/uprobe").exists() {
        return Some("the kernel has no uprobes".to_owned());
    }
    bpf_objects().err().map(|error| format!("BPF is not permitted: {error}"))
}

fn next_id(kind: BpfObject, after: u32) -> io::Result<Option<u32>> {
    let mut attr = NextId { start: after, ..NextId::default() };
    // SAFETY: `attr` is live and writable for the size given; the kernel reads and writes no more.
    let code = unsafe { libc::syscall(libc::SYS_bpf, kind as i64, &raw mut attr, size_of::<NextId>()) };
    if code == 0 {
        return Ok(Some(attr.next));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOENT) => Ok(None),
        _ => Err(error),
    }
}

/// Returns whether thread ids here are the initial pid namespace's, as asyncscope's are.
#[must_use]
pub fn in_initial_pid_namespace() -> bool {
    // Source: `PROC_PID_INIT_INO` in
    // <https://github.com/torvalds/linux/blob/v6.12/include/linux/proc_ns.h>
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

/// Memory and descriptors of a process.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    /// Its resident memory, in KiB.
    pub resident_kib: u64,
    /// Its open file descriptors.
    pub descriptors: usize,
}

/// Returns what a process holds now.
///
/// # Errors
///
/// If there is no such process.
pub fn holdings(pid: u32) -> Result<Holdings> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let resident = resident.split_whitespace().next().context("VmRSS without a number")?;
    Ok(Holdings { resident_kib: resident.parse()?, descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() })
}
