//! Blocked threads: the one hook that is not in the target, but in the scheduler.

use aya::{
    Pod,
    maps::{Array, HashMap, MapData, MapError},
    programs::{ProgramError, RawTracePoint, raw_trace_point::RawTracePointLink},
};

use probe_common::record::{self, BLOCKED_STACK_MAX};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{
    ProbeError,
    features::{For, explain},
    load::{Loaded, absent},
};

const PROGRAM: &str = "sched_switch";
/// Before, the state of the thread that goes is no argument of the tracepoint, or for a time stood elsewhere:
/// <https://github.com/torvalds/linux/commit/9c2136be0878c88c53dea26943ce40bb03ad8d8d>
const STATE_IS_TOLD: (u16, u16) = (5, 19);
/// As many threads are followed.
const THREADS: u32 = 1 << 14;
/// Of as many threads the stacks are kept: each takes 16 KiB of the kernel's memory.
const STACKS: u32 = 256;
/// The length of such a stack and of the record before it.
const DRAFT: usize = size_of::<record::BlockedStack>() + BLOCKED_STACK_MAX;
/// As many types are told apart.
const TYPES: usize = 1 << 12;

/// A thread that was off the CPU inside of a poll when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillBlocked {
    /// Since when, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// The thread's stack pointer; 0 if it could not be read.
    pub sp: u64,
    /// The thread, in the initial pid namespace.
    pub tid: u32,
    /// Its instruction pointer, if it may be in a trap: as in a [`record::BlockedOutside`]; else 0.
    pub outside: u64,
    /// A [`record::BlockedStack`] and the bytes after it, if its stack was taken; of the head only the stack pointer
    /// means something.
    pub taken: Option<Vec<u8>>,
}

/// The armed hook, which goes when it is dropped, and the threads that are blocked now.
pub(super) struct Blocked {
    link: Option<RawTracePointLink>,
    off: HashMap<MapData, u64, [u64; 4]>,
    stacks: HashMap<MapData, u32, [u8; DRAFT]>,
}

impl std::fmt::Debug for Blocked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocked")
    }
}

/// The tasks that are treated in ways of their own, by the vtables of their types.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// The runtime's own: their polls do not count.
    pub runtime: Vec<u64>,
    /// Closures of the blocking pool: their stacks are not taken.
    pub closures: Vec<u64>,
}

/// How large the tables are.
pub(super) fn sizes(wanted: Option<&Tasks>) -> [(&'static str, u32); 4] {
    let size = |size: u32| if wanted.is_some() { size } else { 1 };
    let tasks = wanted.map_or(1, |tasks| (tasks.runtime.len() + tasks.closures.len()).clamp(1, TYPES));
    [("INSIDE", size(THREADS)), ("OFF", size(THREADS)), ("BLOCKED_STACKS", size(STACKS)), ("RUNTIME", tasks as u32)]
}

/// Has the programs note who is inside of polls.
pub(super) fn note(loaded: &mut Loaded, tasks: &Tasks) -> Result<(), ProbeError> {
    const NO_WORK: u32 = 1;
    const NO_STACK: u32 = 2;
    let failed = |error: MapError| ProbeError::aya("fill the map of the runtime's tasks", &error);
    let map = loaded.ebpf.map_mut("RUNTIME").ok_or_else(|| absent("RUNTIME"))?;
    let mut map: HashMap<&mut MapData, u64, u32> = map.try_into().map_err(failed)?;
    // One that does not fit makes more records, of which the model knows better.
    let each = |vtables: &[u64], what| vtables.iter().map(move |&vtable| (vtable, what)).collect::<Vec<_>>();
    let all = [each(&tasks.runtime, NO_WORK), each(&tasks.closures, NO_STACK)].concat();
    let _ = all.into_iter().try_for_each(|(vtable, what)| map.insert(vtable, what, 0));
    set(loaded, "WATCH_BLOCKED", 1u32)
}

fn set<T: Pod>(loaded: &mut Loaded, name: &'static str, value: T) -> Result<(), ProbeError> {
    let failed = |error: MapError| ProbeError::aya("fill a map of settings", &error);
    let map = loaded.ebpf.map_mut(name).ok_or_else(|| absent(name))?;
    let mut map: Array<&mut MapData, T> = map.try_into().map_err(failed)?;
    map.set(0, value, 0).map_err(failed)
}

fn check_kernel() -> Result<(), ProbeError> {
    let refused = |why: String| ProbeError::Kernel { what: "watch the scheduler's switches".to_owned(), why };
    let kernel = procfs::sys::kernel::Version::current().map_err(|error| refused(error.to_string()))?;
    if (u16::from(kernel.major), u16::from(kernel.minor)) < STATE_IS_TOLD {
        return Err(refused("it takes Linux 5.19 or newer".to_owned()));
    }
    Ok(())
}

fn failed(error: ProgramError) -> ProbeError {
    ProbeError::aya("attach to the scheduler's switches", &error)
}

/// Has the kernel take the program.
pub(super) fn load(loaded: &mut Loaded) -> Result<&mut RawTracePoint, ProbeError> {
    check_kernel()?;
    let program = loaded.ebpf.program_mut(PROGRAM).ok_or_else(|| absent(PROGRAM))?;
    let program: &mut RawTracePoint = program.try_into().map_err(failed)?;
    program.load().map_err(|error| explain(failed(error), For::Blocked))?;
    Ok(program)
}

impl Blocked {
    pub(super) fn arm(loaded: &mut Loaded) -> Result<Self, ProbeError> {
        let program = load(loaded)?;
        let link = program.attach(PROGRAM).and_then(|id| program.take_link(id));
        let link = link.map_err(|error| explain(failed(error), For::Blocked))?;
        let unusable = |error: MapError| ProbeError::aya("use the maps of blocked threads", &error);
        let off = loaded.take_map("OFF")?.try_into().map_err(unusable)?;
        let stacks = loaded.take_map("BLOCKED_STACKS")?.try_into().map_err(unusable)?;
        Ok(Self { link: Some(link), off, stacks })
    }

    pub(super) fn disarm(&mut self) {
        self.link = None;
    }

    /// The threads that are blocked now. The map may change meanwhile: one that comes back is left out, or told
    /// by its record as well.
    pub(super) fn still(&self) -> Vec<StillBlocked> {
        let entries = self.off.iter().take(THREADS as usize).filter_map(Result::ok);
        let still = |(thread, off @ [since, sp, tid, outside]): (u64, [u64; 4])| {
            let tid = tid as u32;
            let taken = self.taken(tid, since);
            // As long as the thread does not come back, nobody writes there.
            let taken = taken.filter(|_| self.off.get(&thread, 0).is_ok_and(|now| now == off));
            StillBlocked { since, sp, tid, outside, taken }
        };
        entries.map(still).collect()
    }

    fn taken(&self, tid: u32, since: u64) -> Option<Vec<u8>> {
        let bytes = self.stacks.get(&tid, 0).ok()?;
        let (record, stack) = record::BlockedStack::read_from_prefix(&bytes).ok()?;
        let stack = stack.get(..usize::try_from(record.stack_len).ok()?)?;
        (record.since == since && !stack.is_empty()).then(|| [record.as_bytes(), stack].concat())
    }
}
