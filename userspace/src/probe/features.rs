//! What of the kernel the programs need, tried one by one once something was refused: errors of whole programs and
//! maps do not say it.

use std::{fmt, io, os::fd::AsFd as _};

use aya::{
    maps::MapType,
    programs::{ProgramError, ProgramType},
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::{
    ProbeError,
    kernel::Since,
    syscall::{link_to_no_event, load_nothing},
};
use asyncscope_discovery::tokio::plan::Program;

/// The purpose of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeaturePurpose {
    /// For all that is seen of tasks.
    Tasks,
    /// For HTTP, and standard output and error.
    Bytes,
    /// For threads off the CPU inside of polls.
    OffCpu,
    /// For samples.
    Samples,
}

impl FeaturePurpose {
    pub(super) fn of(program: Program) -> Self {
        if program.is_needed() { Self::Tasks } else { Self::Bytes }
    }
}

/// Something that the kernel may lack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feature {
    name: &'static str,
    /// The first Linux that has it.
    since: Since,
    kind: FeatureKind,
    wanted: &'static [FeaturePurpose],
}

#[derive(Clone, Copy, Debug)]
enum FeatureKind {
    /// A type of maps.
    Map(MapType),
    /// A function that programs of these types call, for these ends.
    Helper(BpfHelper, &'static [(ProgramType, FeaturePurpose)]),
    /// A type of programs.
    Programs(ProgramType),
    /// Types of programs.
    Btf,
    /// A program and a perf event, held by one descriptor.
    PerfLink,
}

use FeaturePurpose::{Bytes, OffCpu, Samples, Tasks};
use ProgramType::{KProbe, PerfEvent, RawTracePoint};

const ALL: [FeaturePurpose; 4] = [Tasks, Bytes, OffCpu, Samples];
/// The purposes of programs of each type.
const EACH: [(ProgramType, FeaturePurpose); 5] =
    [(KProbe, Tasks), (KProbe, Bytes), (RawTracePoint, Bytes), (RawTracePoint, OffCpu), (PerfEvent, Samples)];

const fn of(name: &'static str, kind: FeatureKind, since: Since, wanted: &'static [FeaturePurpose]) -> Feature {
    Feature { name, since, kind, wanted }
}

const fn map(name: &'static str, of_type: MapType, since: Since) -> Feature {
    // One object has them all.
    of(name, FeatureKind::Map(of_type), since, &ALL)
}

const fn helper(
    name: &'static str,
    helper: BpfHelper,
    since: Since,
    callers: &'static [(ProgramType, FeaturePurpose)],
) -> Feature {
    of(name, FeatureKind::Helper(helper, callers), since, &[])
}

/// The features that are used.
///
/// Source: `enum bpf_map_type` and `enum bpf_func_id` in
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h>, and
/// <https://docs.ebpf.io/linux/timeline/>
static FEATURES: &[Feature] = &[
    map("hash maps", MapType::Hash, (3, 19)),
    map("array maps", MapType::Array, (3, 19)),
    map("BPF_MAP_TYPE_PROG_ARRAY", MapType::ProgramArray, (4, 2)),
    map("BPF_MAP_TYPE_PERCPU_HASH", MapType::PerCpuHash, (4, 6)),
    map("BPF_MAP_TYPE_PERCPU_ARRAY", MapType::PerCpuArray, (4, 6)),
    map("BPF_MAP_TYPE_LRU_HASH", MapType::LruHash, (4, 10)),
    map("BPF_MAP_TYPE_ARRAY_OF_MAPS", MapType::ArrayOfMaps, (4, 12)),
    map("BPF_MAP_TYPE_RINGBUF", MapType::RingBuf, (5, 8)),
    of("BPF_BTF_LOAD", FeatureKind::Btf, (4, 18), &[Tasks, Bytes]),
    // With these two the library that loads programs tries what the kernel can do.
    of("socket filters", FeatureKind::Programs(ProgramType::SocketFilter), (3, 19), &ALL),
    of("programs on tracepoints", FeatureKind::Programs(ProgramType::TracePoint), (4, 7), &[Tasks]),
    of("uprobe programs", FeatureKind::Programs(KProbe), (4, 1), &ALL),
    of("raw tracepoints", FeatureKind::Programs(RawTracePoint), (4, 17), &[Bytes, OffCpu]),
    of("programs on perf events", FeatureKind::Programs(PerfEvent), (4, 9), &[Samples]),
    of("links to perf events", FeatureKind::PerfLink, (5, 15), &[Tasks]),
    helper("bpf_map_lookup_elem", BpfHelper::BPF_FUNC_map_lookup_elem, (3, 19), &EACH),
    helper("bpf_map_update_elem", BpfHelper::BPF_FUNC_map_update_elem, (3, 19), &EACH),
    helper("bpf_map_delete_elem", BpfHelper::BPF_FUNC_map_delete_elem, (3, 19), &EACH),
    helper("bpf_ktime_get_ns", BpfHelper::BPF_FUNC_ktime_get_ns, (4, 1), &EACH),
    helper("bpf_get_smp_processor_id", BpfHelper::BPF_FUNC_get_smp_processor_id, (4, 1), &EACH),
    helper("bpf_tail_call", BpfHelper::BPF_FUNC_tail_call, (4, 2), &[(KProbe, Tasks), (KProbe, Bytes)]),
    helper("bpf_get_current_pid_tgid", BpfHelper::BPF_FUNC_get_current_pid_tgid, (4, 2), &EACH),
    helper(
        "bpf_get_current_task",
        BpfHelper::BPF_FUNC_get_current_task,
        (4, 8),
        &[(KProbe, Tasks), (KProbe, Bytes), (RawTracePoint, Bytes), (PerfEvent, Samples)],
    ),
    helper("bpf_probe_read_user", BpfHelper::BPF_FUNC_probe_read_user, (5, 5), &EACH),
    helper("bpf_probe_read_kernel", BpfHelper::BPF_FUNC_probe_read_kernel, (5, 5), &EACH),
    helper("bpf_get_ns_current_pid_tgid", BpfHelper::BPF_FUNC_get_ns_current_pid_tgid, (5, 7), &EACH),
    helper("bpf_ringbuf_output", BpfHelper::BPF_FUNC_ringbuf_output, (5, 8), &EACH),
    helper("bpf_ringbuf_reserve", BpfHelper::BPF_FUNC_ringbuf_reserve, (5, 8), &EACH),
    helper("bpf_ringbuf_submit", BpfHelper::BPF_FUNC_ringbuf_submit, (5, 8), &EACH),
    helper("bpf_ringbuf_discard", BpfHelper::BPF_FUNC_ringbuf_discard, (5, 8), &EACH),
    helper(
        "bpf_ringbuf_query",
        BpfHelper::BPF_FUNC_ringbuf_query,
        (5, 8),
        // The programs at polls look whether an off-CPU thread is back.
        &[(KProbe, Tasks), (RawTracePoint, OffCpu), (PerfEvent, Samples)],
    ),
    helper(
        "bpf_get_current_task_btf",
        BpfHelper::BPF_FUNC_get_current_task_btf,
        (5, 11),
        &[(RawTracePoint, OffCpu), (PerfEvent, Samples)],
    ),
    helper(
        "bpf_get_attach_cookie",
        BpfHelper::BPF_FUNC_get_attach_cookie,
        (5, 15),
        &[(KProbe, Tasks), (KProbe, Bytes)],
    ),
    helper(
        "bpf_task_pt_regs",
        BpfHelper::BPF_FUNC_task_pt_regs,
        (5, 15),
        &[(RawTracePoint, OffCpu), (PerfEvent, Samples)],
    ),
    helper("bpf_loop", BpfHelper::BPF_FUNC_loop, (5, 17), &[(KProbe, Bytes), (RawTracePoint, Bytes)]),
];

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (Linux {}.{}", self.name, self.since.0, self.since.1)?;
        // https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L1493-L1495
        f.write_str(if self.name == "bpf_probe_read_kernel" { ", unless it is locked down)" } else { ")" })
    }
}

/// An error that names what the kernel lacks, where it lacks something that this takes.
pub(super) fn explain(error: ProbeError, wanted: FeaturePurpose) -> ProbeError {
    let what = match &error {
        ProbeError::Kernel { what, .. } => what.clone(),
        ProbeError::Verifier { program, .. } => format!("load the eBPF program {program}"),
        _ => return error,
    };
    if is_map_supported(MapType::Array).is_err_and(|error| error.io_error.raw_os_error() == Some(libc::ENOSYS)) {
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
    /// Returns `true` if it is wanted for this, and the kernel says that it does not know it. One that is forbidden is
    /// not missing.
    fn is_missing(&self, wanted: FeaturePurpose) -> bool {
        match self.kind {
            FeatureKind::Helper(helper, callers) => {
                let mut callers = callers.iter().filter(|(_, end)| *end == wanted);
                callers.any(|&(caller, _)| is_unknown_helper(caller, helper))
            }
            _ if !self.wanted.contains(&wanted) => false,
            FeatureKind::Map(of_type) => is_unknown(is_map_supported(of_type).map_err(|error| error.io_error)),
            FeatureKind::Programs(of_type) => is_unknown_type(of_type),
            FeatureKind::Btf => aya::features().btf().is_none(),
            FeatureKind::PerfLink => is_unknown(link().map(|()| true)),
        }
    }
}

/// A kernel that does not know something may say so in several ways, of which aya takes the first alone for that.
fn is_unknown(is_supported: io::Result<bool>) -> bool {
    let unknown = [libc::EINVAL, libc::EOPNOTSUPP, libc::ENOSYS];
    match is_supported {
        Ok(is_supported) => !is_supported,
        Err(error) => error.raw_os_error().is_some_and(|error| unknown.contains(&error)),
    }
}

fn is_unknown_type(of_type: ProgramType) -> bool {
    is_unknown(match is_program_supported(of_type) {
        Err(ProgramError::SyscallError(error)) => Err(error.io_error),
        Err(_) => Ok(true),
        Ok(is_supported) => Ok(is_supported),
    })
}

/// A helper is not what is missing where no program of the type is taken.
fn is_unknown_helper(of_type: ProgramType, helper: BpfHelper) -> bool {
    matches!(is_helper_supported(of_type, helper), Ok(false)) && matches!(is_program_supported(of_type), Ok(true))
}

/// A link of a program to no event: a kernel that knows such links says that the descriptor is bad.
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/bpf/syscall.c#L3827-L3845>
fn link() -> io::Result<()> {
    link_to_no_event(load_nothing(None)?.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_what_it_is_where_nothing_is_missing() {
        let error = explain(ProbeError::TooOld { what: "x".to_owned(), kernel: "5.10.1".to_owned() }, Tasks);
        assert!(matches!(error, ProbeError::TooOld { .. }));
        let reported = FEATURES.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(reported.contains(&"bpf_loop (Linux 5.17)".to_owned()));
    }
}
