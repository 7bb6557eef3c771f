//! Hooks one by one, each a perf event: for kernels whose `uprobe_multi` cannot be used.

use std::num::NonZeroU32;

use aya::programs::{
    UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope},
};

use super::{
    ProbeError, Watched,
    load::{Loaded, absent},
};
use crate::target::plan::{Placement, Program};

fn program(loaded: &mut Loaded, program: Program) -> Result<&mut UProbe, ProbeError> {
    let found = loaded.ebpf.program_mut(program.name()).ok_or_else(|| absent(program.name()))?;
    found.try_into().map_err(|error: aya::programs::ProgramError| ProbeError::aya("use an eBPF program", &error))
}

/// Has the kernel verify the program.
pub(super) fn load(loaded: &mut Loaded, which: Program) -> Result<(), ProbeError> {
    let failed = |error: aya::programs::ProgramError| ProbeError::aya(&format!("load the eBPF program {}", which.name()), &error);
    program(loaded, which)?.load().map_err(failed)
}

/// Loads the program and arms its hooks; they are detached with `loaded`.
pub(super) fn attach(loaded: &mut Loaded, watched: &Watched, which: Program, placements: &[&Placement]) -> Result<(), ProbeError> {
    load(loaded, which)?;
    let pid = NonZeroU32::new(watched.pid).ok_or_else(|| absent("process 0"))?;
    let probe = program(loaded, which)?;
    for placement in placements {
        let location = UProbeAttachLocation::AbsoluteOffset(placement.offset.0);
        let point = UProbeAttachPoint { location, cookie: Some(placement.cookie) };
        probe
            .attach(point, &watched.executable, UProbeScope::OneProcess(pid))
            .map_err(|error| ProbeError::aya(&format!("attach a hook at {:?}", placement.address), &error))?;
    }
    Ok(())
}
