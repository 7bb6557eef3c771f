//! Off-CPU threads: the one hook that is not in the target, but in the scheduler.

use aya::{
    maps::{HashMap, MapData, MapError},
    programs::{ProgramError, RawTracePoint, raw_trace_point::RawTracePointLink},
};

use probe_common::record::{self, OFF_CPU_STACK_MAX};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
    ProbeError,
    error::absent,
    features::{FeaturePurpose, explain},
    kernel::{self, Since},
    load::LoadedObject,
    maps::off_cpu::THREADS,
};

const PROGRAM: &str = "sched_switch";
/// Before, the state of the thread that goes is no argument of the tracepoint, or for a time stood elsewhere:
/// <https://github.com/torvalds/linux/commit/9c2136be0878c88c53dea26943ce40bb03ad8d8d>
const STATE_IS_PASSED: Since = (5, 19);
/// The length of such a stack and of the record before it.
const DRAFT: usize = size_of::<record::OffCpuStack>() + OFF_CPU_STACK_MAX;

/// A thread that was off the CPU inside of a poll when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillOffCpu {
    /// Since when, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// The thread's stack pointer; 0 if it could not be read.
    pub sp: u64,
    /// The thread, in the initial pid namespace.
    pub tid: u32,
    /// Its instruction pointer, if it may be in a trap: as in a [`record::OffCpuOutside`]; else 0.
    pub outside: u64,
    /// A [`record::OffCpuStack`] and the bytes after it, if its stack was taken; of the head only the stack pointer
    /// means something.
    pub taken: Option<Vec<u8>>,
}

/// The armed hook, which goes when it is dropped, and the threads that are off the CPU now.
pub(super) struct OffCpuHook {
    link: Option<RawTracePointLink>,
    off: HashMap<MapData, u64, [u64; 4]>,
    stacks: HashMap<MapData, u32, [u8; DRAFT]>,
}

impl std::fmt::Debug for OffCpuHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OffCpuHook")
    }
}

fn check_kernel() -> Result<(), ProbeError> {
    if kernel::is_since(STATE_IS_PASSED) {
        return Ok(());
    }
    Err(ProbeError::Kernel {
        what: "watch the scheduler's switches".to_owned(),
        why: "it takes Linux 5.19 or newer".to_owned(),
    })
}

fn failed(error: ProgramError) -> ProbeError {
    ProbeError::aya("attach to the scheduler's switches", &error)
}

/// Has the kernel take the program.
pub(super) fn load(loaded: &mut LoadedObject) -> Result<&mut RawTracePoint, ProbeError> {
    check_kernel()?;
    let program = loaded.ebpf.program_mut(PROGRAM).ok_or_else(|| absent(PROGRAM))?;
    let program: &mut RawTracePoint = program.try_into().map_err(failed)?;
    program.load().map_err(|error| explain(failed(error), FeaturePurpose::OffCpu))?;
    Ok(program)
}

impl OffCpuHook {
    pub(super) fn arm(loaded: &mut LoadedObject) -> Result<Self, ProbeError> {
        let program = load(loaded)?;
        let link = program.attach(PROGRAM).and_then(|id| program.take_link(id));
        let link = link.map_err(|error| explain(failed(error), FeaturePurpose::OffCpu))?;
        let unusable = |error: MapError| ProbeError::aya("use the maps of off-CPU threads", &error);
        let off = loaded.take_map("OFF")?.try_into().map_err(unusable)?;
        let stacks = loaded.take_map("OFF_CPU_STACKS")?.try_into().map_err(unusable)?;
        Ok(Self { link: Some(link), off, stacks })
    }

    pub(super) fn disarm(&mut self) {
        self.link = None;
    }

    /// The threads that are off the CPU now. The map may change meanwhile: one that comes back is left out, or reported
    /// by its record as well.
    pub(super) fn still(&self) -> Vec<StillOffCpu> {
        let entries = self.off.iter().take(THREADS as usize).filter_map(Result::ok);
        let still = |(thread, off @ [since, sp, tid, outside]): (u64, [u64; 4])| {
            let tid = tid as u32;
            let taken = self.taken(tid, since);
            // As long as the thread does not come back, nobody writes there.
            let taken = taken.filter(|_| self.off.get(&thread, 0).is_ok_and(|now| now == off));
            StillOffCpu { since, sp, tid, outside, taken }
        };
        entries.map(still).collect()
    }

    fn taken(&self, tid: u32, since: u64) -> Option<Vec<u8>> {
        let bytes = self.stacks.get(&tid, 0).ok()?;
        let (record, stack) = record::OffCpuStack::read_from_prefix(&bytes).ok()?;
        let stack = stack.get(..usize::try_from(record.stack_len).ok()?)?;
        (record.since == since && !stack.is_empty()).then(|| [record.as_bytes(), stack].concat())
    }
}
