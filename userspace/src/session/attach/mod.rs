//! From a process to hooks in place: what is found, restricted to what is wanted, verified, attached.

pub(crate) mod attached;
pub(super) mod awaited;
mod checks;
mod facts;
mod found;
mod logs;
pub(crate) mod mapped;
pub(crate) mod other_tokios;
mod sampling;
pub(crate) mod syscalls;
pub(crate) mod tokio_file;
pub(crate) mod traps;

use anyhow::{Error, Result, anyhow};

use super::{plan::AttachOptions, privileges};
use crate::probe::Probe;
use asyncscope_discovery::{
    image::lines::Lines,
    process::{Process, idle_threads::PollCode, libraries::Loaded},
};
use attached::Attached;
use awaited::WithoutTokio;
use found::FoundTarget;
use mapped::MappedLibrary;
use tokio_file::{NoTokio, TokioFile};
use traps::Traps;

/// Returns an error that says why a file cannot be watched.
pub(super) fn not_watchable(file: &str, why: &str) -> Error {
    anyhow!("{}: {why}", file.escape_debug())
}

/// The outcome of an attempt to attach to a tokio in one file.
enum Attempt {
    Attached(Box<Attached>),
    /// The file has no tokio: the process, and why.
    NoTokio(Process, NoTokio),
}

/// A command that was started to be watched.
pub(super) enum Started {
    Attached(Box<Attached>),
    /// Its executable has no tokio.
    Without(WithoutTokio),
}

/// Finds the hooks in the process and attaches them: in its executable, or, where that has no tokio, in the library
/// that has one.
///
/// # Errors
///
/// A sentence: what the target or the kernel refused.
pub(super) fn attach(process: Process, options: &AttachOptions) -> Result<Attached> {
    let (process, why) = match in_executable(process, false, options)? {
        Attempt::Attached(attached) => return Ok(*attached),
        Attempt::NoTokio(process, why) => (process, why),
    };
    let mut loaded = Loaded::default();
    let library = TokioFile::library(&process, &loaded.tokios(&process), why)?;
    other_tokios::announce_descendants(&process);
    match attempt(&library, process, loaded, false, options)? {
        Attempt::Attached(attached) => Ok(*attached),
        Attempt::NoTokio(_, why) => Err(not_watchable(&library.name, &why.to_string())),
    }
}

/// Attaches to the executable of a process that stands at its first instruction, if that has a tokio.
///
/// # Errors
///
/// As for [`attach`].
pub(super) fn attach_started(process: Process, options: &AttachOptions) -> Result<Started> {
    Ok(match in_executable(process, true, options)? {
        Attempt::Attached(attached) => Started::Attached(attached),
        Attempt::NoTokio(process, why) => Started::Without(WithoutTokio { process, why }),
    })
}

fn in_executable(process: Process, from_first_instruction: bool, options: &AttachOptions) -> Result<Attempt> {
    privileges::check_caller(&process)?;
    let executable = TokioFile::executable(&process)?;
    attempt(&executable, process, Loaded::default(), from_first_instruction, options)
}

fn attempt(
    file: &TokioFile,
    process: Process,
    loaded: Loaded,
    from_first_instruction: bool,
    options: &AttachOptions,
) -> Result<Attempt> {
    file.planned(Some(process.pid), &options.names, |elf, plan| {
        let plan = match plan {
            Ok(plan) => plan,
            Err(why) => return Ok(Attempt::NoTokio(process, why)),
        };
        let bias = file.bias(&process, elf)?;
        let mut found = FoundTarget::new(plan, (file, bias), &process, loaded, from_first_instruction);
        found.restrict(&process, options)?;
        found.verify(&process, file)?;
        found.lay_out(elf, options.awaits);
        let (request, images) = (found.request(process.pid, options), found.take_images(&process, file)?);
        checks::check_room(&process, &images)?;
        let probe = Probe::attach(&request, &images, &options.probe);
        let probe = probe.map_err(|error| checks::gone_or(&process, error.into()))?;
        checks::check_identity(&process)?;
        found.settle(&process, &probe);
        Ok(Attempt::Attached(Box::new(Attached {
            lines: options.take_stacks().then(|| Lines::new(elf, found.bias)),
            facts: facts::of(&found, &process, file.executable_build_id(elf)),
            poll_code: PollCode::new(&found.plan, found.bias),
            vtables: request.vtables.into_iter().collect(),
            bias: found.bias,
            library: if file.is_library() { MappedLibrary::new(&file.name, elf, found.bias) } else { None },
            thread_local_len: elf.thread_local_len(),
            thread_local: found.plan.thread_local,
            redacted: options.http.as_ref().is_some_and(|http| http.redact),
            traps: Traps::of(&images, found.bias, &probe),
            plan_key: found.plan.kept_as,
            layouts: found.layouts,
            loaded: found.loaded,
            process,
            probe,
        })))
    })
}
