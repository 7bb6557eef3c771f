//! From a process to armed hooks.

use std::path::Path;

use anyhow::{Error, Result, bail};

use super::{clock, live::Live};
use crate::{
    facts::{Facts, Process as ProcessFacts, Thread},
    probe::{Probe, Watched},
    target::{
        self,
        addr::{Bias, ElfAddr, RuntimeAddr},
        debug,
        elf::Elf,
        error::TargetError,
        plan::Plan,
        process::Process,
        rest::PollCode,
    },
};

/// An armed target.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) process: Process,
    pub(super) probe: Probe,
    pub(super) facts: Facts,
    pub(super) poll_code: PollCode,
}

/// Finds the hooks in the process and arms them.
pub(super) fn arm(process: Process, from_first_instruction: bool, live: &Live) -> Result<Armed> {
    let data = process.read_executable()?;
    let not_watchable = |why: String| TargetError::NotWatchable { file: process.executable.clone(), why };
    let elf = Elf::parse(&data).map_err(not_watchable)?;
    let debug =
        debug::find(&elf, Path::new(process.executable_path()), Some(process.pid), &live.names).map_err(Error::msg)?;
    let elf = match &debug {
        Some(debug) => elf.with_debug(debug).map_err(Error::msg)?,
        None => elf,
    };
    let plan = target::cache::plan(&elf, target::discover).map_err(not_watchable)?;
    let bias = process.bias(&elf)?;
    check_memory(&process, &plan, bias)?;
    let watched = Watched {
        pid: process.pid,
        executable: process.executable_link(),
        vtables: plan.vtables.iter().map(|vtable| (vtable.address.at_runtime(bias).0, vtable.id_offset)).collect(),
    };
    let probe =
        Probe::attach(&watched, &plan.placements, &live.options).map_err(|error| ended_or(&process, error.into()))?;
    // Threads born since the hooks were armed are among them, which is the safe side.
    let threads = process.threads().into_iter().map(|(tid, name)| Thread { tid, name }).collect();
    let poll_code = PollCode::new(&plan, bias);
    let facts = Facts {
        process: ProcessFacts {
            pid: process.pid,
            name: process.name.clone(),
            executable: process.executable.clone(),
            build_id: elf.build_id.clone(),
        },
        armed: clock::moment(),
        from_first_instruction,
        threads,
        ..facts_of(plan, bias)
    };
    Ok(Armed { process, probe, facts, poll_code })
}

fn facts_of(mut plan: Plan, bias: Bias) -> Facts {
    let moved = |address: u64| ElfAddr(address).at_runtime(bias).0;
    plan.types.iter_mut().for_each(|ty| ty.vtable = moved(ty.vtable));
    for code in &mut plan.drivers {
        (code.start, code.end) = (moved(code.start), moved(code.end));
    }
    Facts { tokio: plan.tokio, types: plan.types, drivers: plan.drivers, hooks: plan.hooks, ..Facts::default() }
}

/// An error that may only be a consequence of the target's end.
pub(super) fn ended_or(process: &Process, error: anyhow::Error) -> anyhow::Error {
    if process.is_alive() { error } else { TargetError::Ended(process.pid).into() }
}

/// The code in memory must be the file's at every hook, or a probe would sit inside an instruction. A
/// breakpoint of another tracer at an instruction's first byte is no difference: the kernel keeps both.
fn check_memory(process: &Process, plan: &Plan, bias: Bias) -> Result<()> {
    const BREAKPOINT: u8 = 0xcc;
    for placement in &plan.placements {
        let RuntimeAddr(address) = placement.address.at_runtime(bias);
        let mut bytes = vec![0; placement.bytes.len()];
        let read = process.read_memory(RuntimeAddr(address), &mut bytes);
        if read < bytes.len() {
            let error = std::io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::EPERM) {
                return Err(TargetError::NotPermitted {
                    pid: process.pid,
                    missing: "CAP_SYS_PTRACE is missing".to_owned(),
                }
                .into());
            }
            return Err(ended_or(
                process,
                anyhow::anyhow!("the code of process {} at {address:#x} cannot be read ({error})", process.pid),
            ));
        }
        let same = bytes == placement.bytes || (bytes[0] == BREAKPOINT && bytes[1..] == placement.bytes[1..]);
        if !same {
            bail!(
                "the code of process {} at {address:#x} is not that of {}: something has patched it, and asyncscope \
                 does not place probes in patched code",
                process.pid,
                process.executable.escape_debug()
            );
        }
    }
    Ok(())
}
