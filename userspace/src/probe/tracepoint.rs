//! The kernel's tracepoints on system calls.

use std::os::fd::AsFd as _;

use aya::programs::{ProgramError, RawTracePoint, raw_trace_point::RawTracePointLink};

use super::{ProbeError, error::absent, load::LoadedObject, syscall::runs_left_out};

/// A program and its tracepoint.
type Traced = (&'static str, &'static str);
/// For HTTP. What ends a descriptor is armed before what begins one, so that no end is missed after a
/// beginning was seen.
pub(super) const HTTP: [Traced; 2] = [("call_enter", "sys_enter"), ("call_exit", "sys_exit")];
/// For standard output and error.
pub(super) const PRINTS: [Traced; 1] = [("print_exit", "sys_exit")];

/// Has the kernel verify the programs.
pub(super) fn load(loaded: &mut LoadedObject, programs: &[Traced]) -> Result<(), ProbeError> {
    programs.iter().try_for_each(|&(name, _)| {
        program(loaded, name)?.load().map_err(|error| ProbeError::aya(&format!("load the eBPF program {name}"), &error))
    })
}

/// Loads the programs and arms them.
pub(super) fn attach(loaded: &mut LoadedObject, programs: &[Traced]) -> Result<Vec<RawTracePointLink>, ProbeError> {
    load(loaded, programs)?;
    let arm = |&(name, tracepoint): &Traced| {
        let program = program(loaded, name)?;
        let armed = program.attach(tracepoint).and_then(|id| program.take_link(id));
        armed.map_err(|error| ProbeError::aya(&format!("attach to the tracepoint {tracepoint}"), &error))
    };
    programs.iter().map(arm).collect()
}

fn program<'a>(loaded: &'a mut LoadedObject, name: &'static str) -> Result<&'a mut RawTracePoint, ProbeError> {
    let found = loaded.ebpf.program_mut(name).ok_or_else(|| absent(name))?;
    found.try_into().map_err(|error: ProgramError| ProbeError::aya("use an eBPF program", &error))
}

/// Counts the calls that the programs did not see, since another thread, which had lost the CPU, was in them. It
/// happens where the kernel lets threads be preempted there: seen on Linux 7.3.
pub(super) fn calls_left_out(loaded: &LoadedObject) -> Result<u64, ProbeError> {
    let failed = |error: std::io::Error| ProbeError::kernel("read how often a program was left out", &error);
    let programs = HTTP.iter().chain(&PRINTS).filter_map(|&(name, _)| loaded.ebpf.program(name)?.fd().ok());
    programs.map(|program| runs_left_out(program.as_fd()).map_err(failed)).sum()
}
