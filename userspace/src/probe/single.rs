//! Hooks one by one, each a perf event: for kernels whose `uprobe_multi` cannot be used.

use std::num::NonZeroU32;

use aya::programs::{
    UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
};

use super::{Group, ProbeError, error::absent, load::LoadedObject};
use asyncscope_discovery::tokio::plan::{Placement, Program};

fn program(loaded: &mut LoadedObject, program: Program) -> Result<&mut UProbe, ProbeError> {
    let found = loaded.ebpf.program_mut(program.name()).ok_or_else(|| absent(program.name()))?;
    found.try_into().map_err(|error: aya::programs::ProgramError| ProbeError::aya("use an eBPF program", &error))
}

/// Has the kernel verify the program.
pub(super) fn load(loaded: &mut LoadedObject, which: Program) -> Result<(), ProbeError> {
    let failed = |error: aya::programs::ProgramError| {
        ProbeError::aya(&format!("load the eBPF program {}", which.name()), &error)
    };
    program(loaded, which)?.load().map_err(failed)
}

/// Loads the program and arms its hooks.
pub(super) fn attach(loaded: &mut LoadedObject, group: &Group<'_>) -> Result<Vec<UProbeLink>, ProbeError> {
    let Group { pid, path, program: which, placements, .. } = *group;
    let is_loaded = program(loaded, which)?.fd().is_ok();
    if !is_loaded {
        load(loaded, which)?;
    }
    let pid = NonZeroU32::new(pid).ok_or_else(|| absent("process 0"))?;
    let probe = program(loaded, which)?;
    let attach = |placement: &&Placement| {
        let location = UProbeAttachLocation::AbsoluteOffset(placement.offset.0);
        let point = UProbeAttachPoint { location, cookie: Some(placement.cookie) };
        let link = probe.attach(point, path, UProbeScope::OneProcess(pid)).and_then(|id| probe.take_link(id));
        link.map_err(|error| ProbeError::aya(&format!("attach a hook at {:?}", placement.address), &error))
    };
    placements.iter().map(attach).collect()
}
