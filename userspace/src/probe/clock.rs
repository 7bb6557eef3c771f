//! The clock that samples are taken by: a software event on each CPU, which strikes whatever runs there.

use aya::programs::{
    PerfEvent, ProgramError,
    perf_event::{PerfEventConfig, PerfEventLink, PerfEventScope, SamplePolicy, SoftwareEvent},
};

use super::{ProbeError, error::absent, load::LoadedObject};

const PROGRAM: &str = "sample";

/// Has the kernel verify the program.
pub(super) fn load(loaded: &mut LoadedObject) -> Result<(), ProbeError> {
    let failed = |error: ProgramError| ProbeError::aya("load the eBPF program sample", &error);
    program(loaded)?.load().map_err(failed)
}

/// Loads the program and starts the clocks. Each stops when its link is dropped.
pub(super) fn start(loaded: &mut LoadedObject, frequency_hz: u32) -> Result<Vec<PerfEventLink>, ProbeError> {
    load(loaded)?;
    let cpus = aya::util::online_cpus().map_err(|(what, error)| ProbeError::kernel(what, &error))?;
    let program = program(loaded)?;
    let clock = PerfEventConfig::Software(SoftwareEvent::CpuClock);
    let often = SamplePolicy::Frequency(frequency_hz.into());
    let start = |cpu: u32| {
        let started = program.attach(clock, PerfEventScope::AllProcessesOneCpu { cpu }, often, false);
        let link = started.and_then(|id| program.take_link(id));
        link.map_err(|error| ProbeError::aya(&format!("start the sampling clock of CPU {cpu}"), &error))
    };
    cpus.into_iter().map(start).collect()
}

fn program(loaded: &mut LoadedObject) -> Result<&mut PerfEvent, ProbeError> {
    let found = loaded.ebpf.program_mut(PROGRAM).ok_or_else(|| absent(PROGRAM))?;
    found.try_into().map_err(|error: ProgramError| ProbeError::aya("use an eBPF program", &error))
}
