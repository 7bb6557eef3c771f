//! System calls: what they are seen for, and by which hooks.

use anyhow::Result;

use super::checks::check_memory;
use crate::{
    probe::{self, Image},
    session::plan::{HttpOptions, SyscallSource},
};
use asyncscope_discovery::{
    image::elf::Elf,
    process::{
        Process,
        libraries::{self, Library},
        procfs,
    },
    syscalls,
    tokio::{
        plan::{Plan, Program},
        plan_cache,
    },
};
use asyncscope_trace::facts::{Hook, ImageId, MissingReason, Sees, SystemCall, Tracepoints, Unreadable};
use asyncscope_view::sentences;

/// The outputs that system calls are seen for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyscallUses {
    pub(crate) http: bool,
    /// Lines on standard output and error.
    pub(crate) logs: bool,
}

impl SyscallUses {
    pub(crate) const EVERYTHING: Self = Self { http: true, logs: true };

    pub(crate) fn is_nothing(self) -> bool {
        !self.http && !self.logs
    }
}

/// Not more descriptors than this are followed: each takes some hundred bytes of the kernel's memory.
const DESCRIPTORS_MAX: u32 = 1 << 16;
const DESCRIPTORS_MIN: u32 = 1024;

pub(super) fn http_request(http: &HttpOptions, plan: &Plan, pid: u32) -> probe::HttpHooks {
    probe::HttpHooks {
        headers: http.headers.clone(),
        descriptors: descriptors(pid),
        tracepoints: plan.tracepoints.is_some(),
        http2: plan.http2,
    }
}

/// Returns as many descriptors as the process may open.
fn descriptors(pid: u32) -> u32 {
    let limit = procfs::open_files_limit(pid).and_then(|limit| u32::try_from(limit).ok());
    limit.unwrap_or(DESCRIPTORS_MAX).clamp(DESCRIPTORS_MIN, DESCRIPTORS_MAX)
}

/// Takes the hooks that see HTTP out of the plan and the libraries.
pub(super) fn leave_out_http(plan: &mut Plan, libraries: &mut Vec<Image>) {
    let placements = libraries.iter_mut().map(|image| &mut image.placements).chain([&mut plan.placements]);
    placements.for_each(|placements| placements.retain(|placement| !placement.program.sees_http()));
    libraries.retain(|image| !image.placements.is_empty());
    plan.hooks.retain(|hook| !matches!(hook.sees, Sees::Http | Sees::Connection | Sees::Http2Head));
    plan.tracepoints = None;
}

/// Decides how the process's system calls are seen: adds the hooks in its C library, which are returned, or
/// takes those on system calls out of the plan.
///
/// # Errors
///
/// The library's code in memory is not that of its file.
pub(crate) fn see(
    process: &Process,
    plan: &mut Plan,
    from_first_instruction: bool,
    by: SyscallSource,
    of: SyscallUses,
) -> Result<Vec<Image>> {
    if by == SyscallSource::Tracepoints {
        by_tracepoints(plan, Tracepoints::AskedFor);
        return Ok(Vec::new());
    }
    let mut libraries = libraries::of(process);
    // A static program loads none, whatever this machine has.
    if libraries.is_empty() && from_first_instruction && plan.c_library.loader.is_some() {
        libraries = libraries::to_be_loaded(process);
    }
    let is_static = libraries.is_empty();
    let images = add(process, plan, libraries)?;
    let unseen = match is_static && plan.c_library.musl && !of.is_nothing() {
        true => Some(Tracepoints::Hook { image: ImageId::EXECUTABLE, missing: shared(&plan.hooks) }),
        false => unseen(&plan.hooks, is_static, of),
    };
    match unseen {
        Some(why) if by == SyscallSource::Either => {
            by_tracepoints(plan, why);
            Ok(Vec::new())
        }
        _ => Ok(images),
    }
}

/// Returns why hooks do not see the calls in question, if they do not. A C library has all calls; a static program
/// only those that it makes.
fn unseen(hooks: &[Hook], is_static: bool, of: SyscallUses) -> Option<Tracepoints> {
    let lacking = syscalls::lacking(hooks);
    let lacks = |calls: &[SystemCall]| calls.iter().all(|call| lacking.contains(call));
    let http = match is_static {
        true => {
            lacks(&[SystemCall::Read, SystemCall::Receive, SystemCall::ReadVector])
                || lacks(&[SystemCall::Write, SystemCall::Send, SystemCall::WriteVector])
        }
        false => !lacking.is_empty(),
    };
    const WRITES: [SystemCall; 2] = [SystemCall::Write, SystemCall::WriteVector];
    let logs = if is_static { lacks(&WRITES) } else { WRITES.iter().any(|call| lacking.contains(call)) };
    let unseen = (of.http && http) || (of.logs && logs);
    unseen.then(|| why_unseen(hooks, lacking))
}

/// Returns the first hook on a call that is missing, else the calls that have none.
fn why_unseen(hooks: &[Hook], calls: Vec<SystemCall>) -> Tracepoints {
    let of_calls = hooks.iter().filter(|hook| hook.sees == Sees::Http);
    match of_calls.into_iter().find_map(|hook| Some((hook.image, hook.why_missing()?.clone()))) {
        Some((image, missing)) => Tracepoints::Hook { image, missing },
        None => Tracepoints::CallsWithoutHook { calls },
    }
}

fn by_tracepoints(plan: &mut Plan, why: Tracepoints) {
    plan.placements.retain(|placement| !matches!(placement.program, Program::Transfer | Program::Descriptor));
    plan.hooks.retain(|hook| !matches!(hook.sees, Sees::Http | Sees::Connection));
    plan.tracepoints = Some(why);
}

/// Says what tracepoints cost others.
pub(super) fn announce(tracepoints: Option<&Tracepoints>, images: &[String], of: SyscallUses) {
    if let Some(why) = tracepoints.filter(|_| !of.is_nothing()) {
        let what = if of.http { "HTTP" } else { "What the target prints" };
        eprintln!(
            "{what} is seen by the kernel's tracepoints on system calls ({why}). They slow each system call of every \
             process on this machine a little; --http-by hooks leaves them out",
            why = sentences::tracepoints(why, images).escape_debug()
        );
    }
}

/// Finds the hooks in the process's C libraries, and adds them to the plan's list.
fn add(process: &Process, plan: &mut Plan, libraries: Vec<Library>) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for library in libraries {
        let image = plan.image(&library.name);
        match in_library(&library, image) {
            Ok((found, _)) if is_main(&library.name) && !syscalls::lacking(&found.hooks).is_empty() => {
                let calls = syscalls::lacking(&found.hooks);
                plan.hooks.push(missing(image, MissingReason::CallsShareFunction { calls }));
            }
            Ok((found, bias)) => {
                if let Some(bias) = bias {
                    check_memory(process, &library.name, &found.placements, bias)?;
                }
                plan.hooks.extend(found.hooks);
                images.push(Image { path: library.path(), held: Some(library.file), placements: found.placements });
            }
            Err(reason) => plan.hooks.push(missing(image, MissingReason::LibraryUnreadable { reason })),
        }
    }
    if !plan.hooks.iter().any(|hook| hook.sees == Sees::Http) {
        let why = if plan.c_library.musl { shared(&plan.hooks) } else { MissingReason::NoCalls };
        plan.hooks.push(missing(ImageId::EXECUTABLE, why));
    }
    Ok(images)
}

/// Returns the reason that a musl has for calls that hooks do not see.
fn shared(hooks: &[Hook]) -> MissingReason {
    let lacking = syscalls::lacking(hooks);
    MissingReason::CallsShareFunction { calls: if lacking.is_empty() { syscalls::lacking(&[]) } else { lacking } }
}

/// Notes what a file alone says of its C library: that it is musl, or that it may be another one where it runs.
pub(crate) fn note_file(plan: &mut Plan) {
    if plan.hooks.iter().any(|hook| hook.sees == Sees::Http) {
        return;
    }
    let loader = plan.c_library.loader.clone();
    let why = match loader {
        _ if plan.c_library.musl => shared(&plan.hooks),
        None if !plan.c_library.beside => MissingReason::NoCalls,
        _ => MissingReason::NeedsProcess,
    };
    let has_it = loader.filter(|_| plan.c_library.musl);
    let image = has_it.map_or(ImageId::EXECUTABLE, |path| plan.image(&path));
    plan.hooks.push(missing(image, why));
}

fn in_library(
    library: &Library,
    image: ImageId,
) -> Result<(Plan, Option<asyncscope_discovery::addr::Bias>), Unreadable> {
    let elf = Elf::parse(&library.data)?;
    let mut plan = plan_cache::plan(&elf, syscalls::discover_library)?;
    plan.hooks.iter_mut().for_each(|hook| hook.image = image);
    Ok((plan, library.bias(&elf)))
}

/// Returns `true` if it is the C library, and not one beside it.
fn is_main(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| !file.starts_with("libpthread"))
}

const fn missing(image: ImageId, why: MissingReason) -> Hook {
    Hook::missing(Sees::Http, image, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use asyncscope_trace::facts::{
        HookSite, HookState, Proof,
        SystemCall::{Close, Read, ReadVector, Receive, Send, Write, WriteVector},
    };

    use asyncscope_discovery::syscalls::c_library::CLibrary;

    const HTTP: SyscallUses = SyscallUses { http: true, logs: false };
    const LOGS: SyscallUses = SyscallUses { http: false, logs: true };

    fn seen(calls: &[SystemCall]) -> Vec<Hook> {
        let hook = |&call: &SystemCall| {
            let proof = Proof::SystemCall { call };
            let site = HookSite { address: 1, instruction: String::new(), emulated: false, proof };
            Hook { sees: Sees::Http, image: ImageId::EXECUTABLE, state: HookState::Armed(site) }
        };
        calls.iter().map(hook).collect()
    }

    #[test]
    fn a_c_library_has_all_calls_and_a_static_program_those_it_makes() {
        let mut hooks = seen(&[Read, Write, Receive, Send, Close]);
        let why = Tracepoints::CallsWithoutHook { calls: vec![ReadVector, WriteVector] };
        assert_eq!(unseen(&hooks, false, HTTP), Some(why));
        assert_eq!(unseen(&hooks, true, HTTP), None);
        hooks.extend(seen(&[ReadVector, WriteVector]));
        assert_eq!(unseen(&hooks, false, HTTP), None);
        assert!(unseen(&seen(&[WriteVector, Close]), true, HTTP).is_some(), "nothing sees what is read");
        assert!(unseen(&seen(&[Receive, Close]), true, HTTP).is_some(), "nothing sees what is written");
        let missing = missing(ImageId(1), MissingReason::NoCalls);
        let why = Tracepoints::Hook { image: ImageId(1), missing: MissingReason::NoCalls };
        assert_eq!(unseen(&[missing], false, HTTP), Some(why));
    }

    #[test]
    fn a_file_tells_musls_reason() {
        let noted = |loader: Option<&str>, musl, beside| {
            let c_library = CLibrary { loader: loader.map(str::to_owned), musl, beside };
            let mut plan = Plan { c_library, ..Plan::default() };
            note_file(&mut plan);
            let [hook] = &plan.hooks[..] else { panic!("{:?}", plan.hooks) };
            (plan.images("svc")[hook.image.0 as usize].clone(), hook.why_missing().cloned())
        };
        let musl = "/lib/ld-musl-x86_64.so.1";
        let shared = Some(MissingReason::CallsShareFunction { calls: syscalls::lacking(&[]) });
        assert_eq!(
            noted(Some("/lib64/ld-linux-x86-64.so.2"), false, true),
            ("svc".into(), Some(MissingReason::NeedsProcess))
        );
        assert_eq!(noted(Some(musl), true, true), (musl.into(), shared.clone()));
        assert_eq!(noted(None, true, false), ("svc".into(), shared));
        assert_eq!(noted(None, false, false), ("svc".into(), Some(MissingReason::NoCalls)));
        let library = noted(None, false, true);
        assert_eq!(library, ("svc".into(), Some(MissingReason::NeedsProcess)), "a library's is that of its program");
    }

    #[test]
    fn lines_need_no_more_than_calls_that_write() {
        assert_eq!(unseen(&seen(&[Write, WriteVector]), false, LOGS), None);
        assert!(unseen(&seen(&[Write, Read]), false, LOGS).is_some());
        assert_eq!(unseen(&seen(&[Write]), true, LOGS), None);
        assert!(unseen(&seen(&[Read, Send]), true, LOGS).is_some());
    }

    #[test]
    fn tracepoints_leave_no_hook_on_calls() {
        let mut plan = Plan { hooks: seen(&[Read, Close]), ..Plan::default() };
        by_tracepoints(&mut plan, Tracepoints::AskedFor);
        assert_eq!((plan.hooks.len(), plan.tracepoints), (0, Some(Tracepoints::AskedFor)));
    }
}
