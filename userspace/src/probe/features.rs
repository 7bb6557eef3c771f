//! What of the kernel the programs need, tried one by one once something was refused: errors of whole programs and
//! maps do not say it.

use std::{
    fmt,
    os::fd::{AsRawFd as _, OwnedFd},
};

use super::{
    ProbeError, multi,
    syscall::{Command, bpf},
};
use asyncscope_discovery::plan::Program;

/// What a feature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// For all that is seen of tasks.
    Tasks,
    /// For HTTP, and standard output and error.
    Bytes,
    /// For threads blocked inside of polls.
    Blocked,
    /// For samples.
    Samples,
}

impl For {
    pub(super) fn of(program: Program) -> Self {
        if program.is_needed() { Self::Tasks } else { Self::Bytes }
    }
}

/// Something that the kernel may lack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feature {
    name: &'static str,
    /// The first Linux that has it.
    since: (u8, u8),
    kind: Kind,
    wanted: &'static [For],
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A type of maps, and the sizes of its keys and values.
    Map(u32, [u32; 2]),
    /// A function that programs of these types call, for these ends.
    Helper(i32, &'static [(ProgramType, For)]),
    /// A type of programs.
    Programs(ProgramType),
    /// Types of programs.
    Btf,
    /// A program and a perf event, held by one descriptor.
    PerfLink,
}

/// Source: `enum bpf_prog_type` in <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h>
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum ProgramType {
    SocketFilter = 1,
    Kprobe = 2,
    Tracepoint = 5,
    PerfEvent = 7,
    RawTracepoint = 17,
}

use For::{Blocked, Bytes, Samples, Tasks};
use ProgramType::{Kprobe, PerfEvent, RawTracepoint};

const ALL: [For; 4] = [Tasks, Bytes, Blocked, Samples];
/// What programs of each type are for.
const EACH: [(ProgramType, For); 5] =
    [(Kprobe, Tasks), (Kprobe, Bytes), (RawTracepoint, Bytes), (RawTracepoint, Blocked), (PerfEvent, Samples)];

const fn of(name: &'static str, kind: Kind, since: (u8, u8), wanted: &'static [For]) -> Feature {
    Feature { name, since, kind, wanted }
}

const fn map(name: &'static str, number: u32, sizes: [u32; 2], since: (u8, u8)) -> Feature {
    // One object has them all.
    of(name, Kind::Map(number, sizes), since, &ALL)
}

const fn helper(name: &'static str, number: i32, since: (u8, u8), callers: &'static [(ProgramType, For)]) -> Feature {
    of(name, Kind::Helper(number, callers), since, &[])
}

/// What is used.
///
/// Source: `enum bpf_map_type` and `enum bpf_func_id` in
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h>, and
/// <https://docs.ebpf.io/linux/timeline/>
static FEATURES: &[Feature] = &[
    map("hash maps", 1, [8, 8], (3, 19)),
    map("array maps", 2, [4, 8], (3, 19)),
    map("BPF_MAP_TYPE_PROG_ARRAY", 3, [4, 4], (4, 2)),
    map("BPF_MAP_TYPE_PERCPU_HASH", 5, [8, 8], (4, 6)),
    map("BPF_MAP_TYPE_PERCPU_ARRAY", 6, [4, 8], (4, 6)),
    map("BPF_MAP_TYPE_LRU_HASH", 9, [8, 8], (4, 10)),
    map("BPF_MAP_TYPE_ARRAY_OF_MAPS", 12, [4, 4], (4, 12)),
    map("BPF_MAP_TYPE_RINGBUF", 27, [0, 0], (5, 8)),
    of("BPF_BTF_LOAD", Kind::Btf, (4, 18), &[Tasks, Bytes]),
    // With these two the library that loads programs tries what the kernel can do.
    of("socket filters", Kind::Programs(ProgramType::SocketFilter), (3, 19), &ALL),
    of("programs on tracepoints", Kind::Programs(ProgramType::Tracepoint), (4, 7), &[Tasks]),
    of("uprobe programs", Kind::Programs(Kprobe), (4, 1), &ALL),
    of("raw tracepoints", Kind::Programs(RawTracepoint), (4, 17), &[Bytes, Blocked]),
    of("programs on perf events", Kind::Programs(PerfEvent), (4, 9), &[Samples]),
    of("links to perf events", Kind::PerfLink, (5, 15), &[Tasks]),
    helper("bpf_map_lookup_elem", 1, (3, 19), &EACH),
    helper("bpf_map_update_elem", 2, (3, 19), &EACH),
    helper("bpf_map_delete_elem", 3, (3, 19), &EACH),
    helper("bpf_ktime_get_ns", 5, (4, 1), &EACH),
    helper("bpf_get_smp_processor_id", 8, (4, 1), &EACH),
    helper("bpf_tail_call", 12, (4, 2), &[(Kprobe, Tasks), (Kprobe, Bytes)]),
    helper("bpf_get_current_pid_tgid", 14, (4, 2), &EACH),
    helper(
        "bpf_get_current_task",
        35,
        (4, 8),
        &[(Kprobe, Tasks), (Kprobe, Bytes), (RawTracepoint, Bytes), (PerfEvent, Samples)],
    ),
    helper("bpf_probe_read_user", 112, (5, 5), &EACH),
    helper("bpf_probe_read_kernel", 113, (5, 5), &EACH),
    helper("bpf_get_ns_current_pid_tgid", 120, (5, 7), &EACH),
    helper("bpf_ringbuf_output", 130, (5, 8), &EACH),
    helper("bpf_ringbuf_reserve", 131, (5, 8), &EACH),
    helper("bpf_ringbuf_submit", 132, (5, 8), &EACH),
    helper("bpf_ringbuf_discard", 133, (5, 8), &EACH),
    helper("bpf_ringbuf_query", 134, (5, 8), &[(RawTracepoint, Blocked), (PerfEvent, Samples)]),
    helper("bpf_get_current_task_btf", 158, (5, 11), &[(RawTracepoint, Blocked), (PerfEvent, Samples)]),
    helper("bpf_get_attach_cookie", 174, (5, 15), &[(Kprobe, Tasks), (Kprobe, Bytes)]),
    helper("bpf_task_pt_regs", 175, (5, 15), &[(RawTracepoint, Blocked), (PerfEvent, Samples)]),
    helper("bpf_loop", 181, (5, 17), &[(Kprobe, Bytes), (RawTracepoint, Bytes)]),
];

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Linux {}.{}", self.name, self.since.0, self.since.1)?;
        // https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L1493-L1495
        f.write_str(if self.name == "bpf_probe_read_kernel" { ", unless it is locked down)" } else { ")" })
    }
}

/// An error that names what the kernel lacks, where it lacks something that this takes.
pub(super) fn explain(error: ProbeError, wanted: For) -> ProbeError {
    let what = match &error {
        ProbeError::Kernel { what, .. } => what.clone(),
        ProbeError::Verifier { program, .. } => format!("load the eBPF program {program}"),
        _ => return error,
    };
    if create(ARRAY, [4, 8]).is_err_and(|error| error.raw_os_error() == Some(libc::ENOSYS)) {
        return ProbeError::Lacks { what, missing: "the system call bpf (CONFIG_BPF_SYSCALL)".to_owned() };
    }
    let missing = FEATURES.iter().filter(|feature| feature.is_missing(wanted));
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    match missing.is_empty() {
        true => error,
        false => ProbeError::Lacks { what, missing: missing.join(", ") },
    }
}

impl Feature {
    /// Whether it is wanted for this, and the kernel says that it does not know it. One that is forbidden is not
    /// missing.
    fn is_missing(&self, wanted: For) -> bool {
        match self.kind {
            Kind::Helper(number, callers) => {
                let mut callers = callers.iter().filter(|(_, end)| *end == wanted);
                callers.any(|&(caller, _)| is_unknown_helper(caller, number))
            }
            _ if !self.wanted.contains(&wanted) => false,
            Kind::Map(number, sizes) => is_unknown(create(number, sizes)),
            Kind::Programs(of) => is_unknown(multi::load_small(of as u32, 0, &multi::NOTHING, &mut []).map(drop)),
            Kind::Btf => is_unknown(types()),
            Kind::PerfLink => is_unknown(link()),
        }
    }
}

/// A call of the function whose number is in the upper half, and `exit`.
const EXIT: u64 = 0x95;
const CALL: u64 = 0x85;

fn is_unknown(result: std::io::Result<()>) -> bool {
    let unknown = [libc::EINVAL, libc::EOPNOTSUPP, libc::ENOSYS];
    result.is_err_and(|error| error.raw_os_error().is_some_and(|error| unknown.contains(&error)))
}

/// A call with no arguments is refused in any case; the verifier's words tell why.
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/bpf/verifier.c#L10335-L10352>
fn is_unknown_helper(of: ProgramType, number: i32) -> bool {
    const WORDS: [&str; 3] = ["invalid func ", "unknown func ", "cannot use helper "];
    let mut log = vec![0; 4096];
    let call = CALL | u64::from(number.cast_unsigned()) << 32;
    let loaded = multi::load_small(of as u32, 0, &[call, EXIT], &mut log);
    let said = String::from_utf8_lossy(&log);
    loaded.is_err() && WORDS.iter().any(|words| said.contains(words))
}

/// The part of `union bpf_attr` that `BPF_MAP_CREATE` reads.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L1499-L1528>
#[derive(Default)]
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner: u32,
}

const ARRAY: u32 = 2;
const MAPS: u32 = 12;
const RING: u32 = 27;

fn create(map_type: u32, [key_size, value_size]: [u32; 2]) -> std::io::Result<()> {
    // Of maps with maps in them the kernel wants an example.
    let example = if map_type == MAPS { Some(new_map(ARRAY, [4, 8], 0)?) } else { None };
    let inner = example.as_ref().map_or(0, |map| map.as_raw_fd().cast_unsigned());
    new_map(map_type, [key_size, value_size], inner).map(drop)
}

fn new_map(map_type: u32, [key_size, value_size]: [u32; 2], inner: u32) -> std::io::Result<OwnedFd> {
    const PAGE: u32 = 4096;
    let max_entries = if map_type == RING { PAGE } else { 1 };
    let mut attributes = MapCreate { map_type, key_size, value_size, max_entries, flags: 0, inner };
    // SAFETY: there are only numbers and a descriptor in it.
    unsafe { bpf(Command::MapCreate, &mut attributes) }
}

/// One of the smallest there are: a head, an `int` of four bytes, its name.
/// <https://docs.kernel.org/bpf/btf.html#btf-type-and-string-encoding>
fn types() -> std::io::Result<()> {
    const HEAD: [u32; 6] = [0x0001_eb9f, 24, 0, 16, 16, 5];
    const INT: [u32; 4] = [1, 1 << 24, 4, 1 << 24 | 32];
    let mut bytes: Vec<u8> = HEAD.iter().chain(&INT).flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(b"\0int\0");
    super::load::load_types(&bytes).map(drop)
}

/// A link of a program to no event: a kernel that knows such links says that the descriptor is bad.
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/bpf/syscall.c#L3827-L3845>
fn link() -> std::io::Result<()> {
    let program = multi::load_small(Kprobe as u32, 0, &multi::NOTHING, &mut [])?;
    const PERF_EVENT: u32 = 41;
    multi::link_nothing(&program, PERF_EVENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_what_it_is_where_nothing_is_missing() {
        let error = explain(ProbeError::TooOld { what: "x".to_owned(), kernel: "5.10.1".to_owned() }, Tasks);
        assert!(matches!(error, ProbeError::TooOld { .. }));
        let told = FEATURES.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(told.contains(&"bpf_loop (Linux 5.17)".to_owned()));
    }
}
