//! The maps of threads that are inside of polls, and of those that are off the CPU there.

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};

use super::{map, set};
use crate::probe::error::ProbeError;

/// As many threads are followed.
pub(in crate::probe) const THREADS: u32 = 1 << 14;
/// Of as many threads the stacks are kept: each takes 16 KiB of the kernel's memory.
const STACKS: u32 = 256;
/// As many types are distinguished.
const TYPES: usize = 1 << 12;

/// The tasks that are treated in ways of their own, by the vtables of their types.
#[derive(Clone, Debug, Default)]
pub struct OffCpuTasks {
    /// The runtime's own: their polls do not count.
    pub runtime: Vec<u64>,
    /// Closures of the blocking pool: their stacks are not taken.
    pub closures: Vec<u64>,
}

/// The sizes of the tables.
pub(in crate::probe) fn sizes(wanted: Option<&OffCpuTasks>) -> [(&'static str, u32); 4] {
    let size = |size: u32| if wanted.is_some() { size } else { 1 };
    let tasks = wanted.map_or(1, |tasks| (tasks.runtime.len() + tasks.closures.len()).clamp(1, TYPES));
    [("INSIDE", size(THREADS)), ("OFF", size(THREADS)), ("OFF_CPU_STACKS", size(STACKS)), ("RUNTIME", tasks as u32)]
}

/// Has the programs note who is inside of polls.
pub(in crate::probe) fn note(ebpf: &mut Ebpf, tasks: &OffCpuTasks) -> Result<(), ProbeError> {
    const NO_WORK: u32 = 1;
    const NO_STACK: u32 = 2;
    let failed = |error: MapError| ProbeError::aya("fill the map of the runtime's tasks", &error);
    let mut map: HashMap<&mut MapData, u64, u32> = map(ebpf, "RUNTIME")?.try_into().map_err(failed)?;
    // One that does not fit makes more records, of which the model knows better.
    let each = |vtables: &[u64], what| vtables.iter().map(move |&vtable| (vtable, what)).collect::<Vec<_>>();
    let all = [each(&tasks.runtime, NO_WORK), each(&tasks.closures, NO_STACK)].concat();
    let _ = all.into_iter().try_for_each(|(vtable, what)| map.insert(vtable, what, 0));
    set(ebpf, "WATCH_OFF_CPU", 1u32)
}
