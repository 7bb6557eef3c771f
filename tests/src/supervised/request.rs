//! What a system call asks for, read from the memory of who makes it.

use std::collections::BTreeSet;

use super::Feature;

/// A system call.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Its number.
    pub(super) number: i64,
    /// Features that the kernel has to have for it.
    pub(super) needs: BTreeSet<Feature>,
    /// The buffer in which the verifier would say why.
    pub(super) log: Option<Log>,
}

/// The place of a verifier's log.
#[derive(Debug)]
pub(super) struct Log {
    pid: u32,
    at: u64,
    len: u32,
}

// Source: `enum bpf_cmd` in <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h>
const MAP_CREATE: u64 = 0;
const PROG_LOAD: u64 = 5;
const RAW_TRACEPOINT_OPEN: u64 = 17;
const BTF_LOAD: u64 = 18;
const LINK_CREATE: u64 = 28;
// Source: `enum bpf_attach_type` there.
const PERF_EVENT: u32 = 41;
const UPROBE_MULTI: u32 = 48;
/// Of `union bpf_attr`, what is looked at.
const ATTRIBUTES: usize = 72;
/// Programs are no longer.
const INSTRUCTIONS_MAX: usize = 1 << 16;
const PATH_MAX: usize = 256;

pub(super) fn read(pid: u32, number: i64, arguments: &[u64; 6]) -> Request {
    let request = match number {
        libc::SYS_bpf => bpf(pid, arguments[0], arguments[1], arguments[2]),
        libc::SYS_openat => Request { needs: opened(pid, arguments[1]).into_iter().collect(), ..Request::default() },
        libc::SYS_process_vm_readv | libc::SYS_ptrace => one(Feature::Trace),
        _ => Request::default(),
    };
    Request { number, ..request }
}

fn one(feature: Feature) -> Request {
    Request { needs: BTreeSet::from([feature]), ..Request::default() }
}

/// Those of the kernel's own files that say what it can do.
fn opened(pid: u32, at: u64) -> Option<Feature> {
    const FILES: [&str; 2] = ["/sys/kernel/btf/vmlinux", "/sys/bus/event_source/devices/uprobe/type"];
    let bytes = copy(pid, at, PATH_MAX);
    let path = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let is_memory = path.starts_with(b"/proc/") && path.ends_with(b"/mem");
    let file = FILES.into_iter().find(|file| file.as_bytes() == path).map(Feature::File);
    file.or(is_memory.then_some(Feature::Trace))
}

fn bpf(pid: u32, command: u64, at: u64, size: u64) -> Request {
    let mut bytes = copy(pid, at, ATTRIBUTES.min(size as usize));
    bytes.resize(ATTRIBUTES, 0);
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    match command {
        MAP_CREATE => one(Feature::Map(word(0))),
        BTF_LOAD => one(Feature::Btf),
        RAW_TRACEPOINT_OPEN => one(Feature::RawTracepoint),
        LINK_CREATE if word(8) == PERF_EVENT => one(Feature::PerfLink),
        LINK_CREATE if word(8) == UPROBE_MULTI => one(Feature::Multi),
        PROG_LOAD => {
            let mut needs = helpers(&copy(pid, long(8), 8 * (word(4) as usize).min(INSTRUCTIONS_MAX)));
            needs.insert(Feature::Program(word(0)));
            needs.extend((word(68) == UPROBE_MULTI).then_some(Feature::Multi));
            let log = (word(24) > 0).then_some(Log { pid, at: long(32), len: word(28) });
            Request { needs, log, ..Request::default() }
        }
        _ => Request::default(),
    }
}

/// The functions that are called: by `call`, and not another program's own.
fn helpers(instructions: &[u8]) -> BTreeSet<Feature> {
    const CALL: u8 = 0x85;
    let called = |instruction: &[u8; 8]| {
        let &[code, registers, _, _, a, b, c, d] = instruction;
        (code == CALL && registers >> 4 == 0).then(|| Feature::Helper(u32::from_le_bytes([a, b, c, d])))
    };
    instructions.as_chunks().0.iter().filter_map(called).collect()
}

impl Log {
    /// Says there what a verifier says of a function that it does not know.
    pub(super) fn write(&self, missing: &Feature) {
        let Feature::Helper(number) = missing else { return };
        let text = format!("invalid func unknown#{number}\n\0");
        let from =
            libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len().min(self.len as usize) };
        let to = libc::iovec { iov_base: std::ptr::without_provenance_mut(self.at as usize), iov_len: from.iov_len };
        // SAFETY: what is read is alive; the memory written is the other process's. If it is gone, so is its reader.
        let _written = unsafe { libc::process_vm_writev(self.pid as i32, &raw const from, 1, &raw const to, 1, 0) };
    }
}

/// As many of these bytes as can be read: the last may lie beyond a mapping's end.
fn copy(pid: u32, at: u64, len: usize) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        let here = at as usize + done;
        let step = (len - done).min(PAGE - here % PAGE);
        let to = libc::iovec { iov_base: bytes[done..].as_mut_ptr().cast(), iov_len: step };
        let from = libc::iovec { iov_base: std::ptr::without_provenance_mut(here), iov_len: step };
        // SAFETY: as many bytes are there; the memory read is the other process's.
        let read = unsafe { libc::process_vm_readv(pid as i32, &raw const to, 1, &raw const from, 1, 0) };
        let Some(read) = usize::try_from(read).ok().filter(|&read| read > 0) else { break };
        done += read;
    }
    bytes.truncate(done);
    bytes
}
