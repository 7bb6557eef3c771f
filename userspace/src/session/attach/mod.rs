//! From a process to hooks in place: what is found, restricted to what is wanted, verified, attached.

pub(crate) mod attached;
mod checks;
mod facts;
mod found;
mod logs;
pub(crate) mod other_tokios;
mod sampling;
pub(crate) mod syscalls;
pub(crate) mod traps;

use anyhow::{Error, Result, anyhow};

use super::{plan::AttachOptions, privileges};
use crate::probe::Probe;
use asyncscope_discovery::{
    image::{debug, elf::Elf, lines::Lines},
    process::{Process, idle_threads::PollCode},
};
use asyncscope_view::sentences;
use attached::Attached;
use found::FoundTarget;
use traps::Traps;

/// Returns an error that says why a file cannot be watched.
pub(super) fn not_watchable(file: &str, why: &str) -> Error {
    anyhow!("{}: {why}", file.escape_debug())
}

/// Finds the hooks in the process and attaches them.
pub(super) fn attach(process: Process, from_first_instruction: bool, options: &AttachOptions) -> Result<Attached> {
    privileges::check_caller(&process)?;
    let data = process.read_executable()?;
    let elf =
        Elf::parse(&data).map_err(|reason| not_watchable(&process.executable, &sentences::unreadable(&reason)))?;
    let debug = debug::find(&elf, process.executable_path(), Some(process.pid), &options.names)?;
    let elf = match &debug {
        Some(debug) => elf.with_debug(debug).map_err(|reason| Error::msg(sentences::unreadable(&reason)))?,
        None => elf,
    };
    let mut found = FoundTarget::discover(&process, &elf, from_first_instruction)?;
    found.restrict(&process, options)?;
    found.verify(&process)?;
    found.lay_out(&elf, options.awaits);
    let (request, images) = (found.request(process.pid, options), found.take_images(&process));
    checks::check_room(&process, &images)?;
    let probe = Probe::attach(&request, &images, &options.probe);
    let probe = probe.map_err(|error| checks::gone_or(&process, error.into()))?;
    checks::check_identity(&process)?;
    found.settle(&process, &probe);
    Ok(Attached {
        lines: options.take_stacks().then(|| Lines::new(&elf, found.bias)),
        facts: facts::of(&found, &process, &elf),
        poll_code: PollCode::new(&found.plan, found.bias),
        vtables: request.vtables.into_iter().collect(),
        bias: found.bias,
        thread_local_len: elf.thread_local_len(),
        thread_local: found.plan.thread_local,
        redacted: options.http.as_ref().is_some_and(|http| http.redact),
        traps: Traps::of(&images, found.bias, &probe),
        layouts: found.layouts,
        loaded: found.loaded,
        process,
        probe,
    })
}
