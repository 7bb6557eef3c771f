//! What is watched of HTTP: which hooks, and which headers.

use anyhow::Result;

use super::start::check_memory;
use crate::probe::{self, Image};
use asyncscope_discovery::{
    cache,
    calls::{self, TRANSFER},
    elf::Elf,
    h2,
    libraries::{self, Library},
    plan::{Plan, Program},
    process::Process,
};
use asyncscope_trace::facts::Hook;

/// What of HTTP is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The headers whose values are, in lower case.
    pub headers: Vec<String>,
    /// Whether values are replaced by hashes.
    pub redact: bool,
}

/// How system calls are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// By hooks in the target's code; where these cannot see them, by tracepoints.
    #[default]
    Either,
    /// By hooks in the target's code only.
    Hooks,
    /// By the kernel's tracepoints, which every process of the machine passes with each system call.
    Tracepoints,
}

/// What system calls are seen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct For {
    pub(super) http: bool,
    /// What is written to standard output and error.
    pub(super) logs: bool,
}

impl For {
    pub(super) const EVERYTHING: Self = Self { http: true, logs: true };

    pub(super) fn is_nothing(self) -> bool {
        !self.http && !self.logs
    }
}

/// Not more descriptors than this are followed: each takes some hundred bytes of the kernel's memory.
const DESCRIPTORS_MAX: u32 = 1 << 16;
const DESCRIPTORS_MIN: u32 = 1024;

pub(super) fn watched(http: &Http, plan: &Plan, pid: u32) -> probe::Http {
    probe::Http {
        headers: http.headers.clone(),
        descriptors: descriptors(pid),
        tracepoints: plan.tracepoints.is_some(),
        http2: plan.http2,
    }
}

/// As many as the process may open.
fn descriptors(pid: u32) -> u32 {
    let limits = asyncscope_discovery::proc::text(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    soft.unwrap_or(DESCRIPTORS_MAX).clamp(DESCRIPTORS_MIN, DESCRIPTORS_MAX)
}

/// Takes the hooks that see HTTP out of the plan and the libraries.
pub(super) fn leave_out(plan: &mut Plan, libraries: &mut Vec<Image>) {
    let placements = libraries.iter_mut().map(|image| &mut image.placements).chain([&mut plan.placements]);
    placements.for_each(|placements| placements.retain(|placement| !placement.program.sees_http()));
    libraries.retain(|image| !image.placements.is_empty());
    plan.hooks.retain(|hook| ![TRANSFER, calls::DESCRIPTOR, h2::HEAD].contains(&hook.sees.as_str()));
    plan.tracepoints = None;
}

/// Decides how the process's system calls are seen: adds the hooks in its C library, which are returned, or
/// takes those on system calls out of the plan.
///
/// # Errors
///
/// The library's code in memory is not that of its file.
pub(super) fn see_calls(
    process: &Process,
    plan: &mut Plan,
    from_first_instruction: bool,
    by: By,
    of: For,
) -> Result<Vec<Image>> {
    if by == By::Tracepoints {
        by_tracepoints(plan, "as was asked for".to_owned());
        return Ok(Vec::new());
    }
    let mut libraries = libraries::of(process);
    if libraries.is_empty() && from_first_instruction {
        libraries = libraries::to_be_loaded(process);
    }
    let is_static = libraries.is_empty();
    let images = add(process, plan, libraries)?;
    match unseen(&plan.hooks, is_static, of) {
        Some(why) if by == By::Either => {
            by_tracepoints(plan, why);
            Ok(Vec::new())
        }
        _ => Ok(images),
    }
}

/// Why hooks do not see the calls in question, if they do not. A C library has all calls; a static program
/// only those that it makes.
fn unseen(hooks: &[Hook], is_static: bool, of: For) -> Option<String> {
    let lacking = calls::lacking(hooks);
    let lacks = |calls: &[&str]| calls.iter().all(|call| lacking.contains(call));
    let reason = hooks.iter().find(|hook| hook.sees == TRANSFER && hook.address.is_none());
    let http = match is_static {
        true => lacks(&["read", "recvfrom", "readv"]) || lacks(&["write", "sendto", "writev"]),
        false => !lacking.is_empty(),
    };
    let logs = if is_static { lacks(&["write", "writev"]) } else { lacks(&["write"]) || lacks(&["writev"]) };
    let unseen = (of.http && http) || (of.logs && logs);
    let none = || format!("the system calls {} have no hook", lacking.join(", "));
    unseen.then(|| reason.map_or_else(none, |hook| hook.how.clone()))
}

fn by_tracepoints(plan: &mut Plan, why: String) {
    plan.placements.retain(|placement| !matches!(placement.program, Program::Transfer | Program::Descriptor));
    plan.hooks.retain(|hook| ![TRANSFER, calls::DESCRIPTOR].contains(&hook.sees.as_str()));
    plan.tracepoints = Some(why);
}

/// What tracepoints cost others has to be said.
pub(super) fn announce(tracepoints: Option<&str>, of: For) {
    if let Some(why) = tracepoints.filter(|_| !of.is_nothing()) {
        let what = if of.http { "HTTP" } else { "What the target prints" };
        eprintln!(
            "{what} is seen by the kernel's tracepoints on system calls ({why}). They slow each system call of every \
             process on this machine a little; --http-by hooks leaves them out",
            why = why.escape_debug()
        );
    }
}

/// The hooks in the process's C libraries, which are added to the plan's list for people.
fn add(process: &Process, plan: &mut Plan, libraries: Vec<Library>) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for library in libraries {
        match in_library(&library) {
            Ok((found, _)) if is_main(&library.name) && !calls::lacking(&found.hooks).is_empty() => {
                let lacking = calls::lacking(&found.hooks).join(", ");
                plan.hooks.push(missing(&format!(
                    "in {} the system calls {lacking} have no number of their own: glibc 2.41 and newer, and musl, \
                     make them in one function that serves all",
                    library.name
                )));
            }
            Ok((found, bias)) => {
                if let Some(bias) = bias {
                    check_memory(process, &library.name, &found.placements, bias)?;
                }
                plan.hooks.extend(found.hooks);
                images.push(Image { path: library.path(), held: Some(library.file), placements: found.placements });
            }
            Err(why) => plan.hooks.push(missing(&format!("{} {why}", library.name))),
        }
    }
    if !plan.hooks.iter().any(|hook| hook.sees == TRANSFER) {
        plan.hooks.push(missing("no system call was found in the executable, and no C library is loaded"));
    }
    Ok(images)
}

/// What a file alone tells: its C library may be another one where it runs.
pub(super) fn note_file(plan: &mut Plan) {
    if !plan.hooks.iter().any(|hook| hook.sees == TRANSFER) {
        plan.hooks.push(missing("the C library is looked at in a running process: give its pid"));
    }
}

fn in_library(library: &Library) -> Result<(Plan, Option<asyncscope_discovery::addr::Bias>), String> {
    let elf = Elf::parse(&library.data)?;
    let mut plan = cache::plan(&elf, calls::discover_library)?;
    let file = library.name.rsplit('/').next().unwrap_or_default().to_owned();
    plan.hooks.iter_mut().for_each(|hook| hook.how = format!("{file}: {}", hook.how));
    Ok((plan, library.bias(&elf)))
}

/// Whether it is the C library, and not one beside it.
fn is_main(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|file| !file.starts_with("libpthread"))
}

fn missing(why: &str) -> Hook {
    Hook { sees: TRANSFER.to_owned(), address: None, instruction: String::new(), emulated: false, how: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTP: For = For { http: true, logs: false };
    const LOGS: For = For { http: false, logs: true };

    fn seen(calls: &[&str]) -> Vec<Hook> {
        let hook = |call: &&str| Hook {
            address: Some(1),
            how: match *call {
                "close" => "before the system call close".to_owned(),
                "readv" | "writev" => format!("behind the system calls {call}, p{call}2"),
                _ => format!("behind the system call {call}"),
            },
            ..missing("")
        };
        calls.iter().map(hook).collect()
    }

    #[test]
    fn a_c_library_has_all_calls_and_a_static_program_those_it_makes() {
        let all = ["read", "write", "recvfrom", "sendto", "close"];
        let mut hooks = seen(&all);
        assert!(unseen(&hooks, false, HTTP).is_some_and(|why| why.contains("readv, writev")));
        assert_eq!(unseen(&hooks, true, HTTP), None);
        hooks.extend(seen(&["readv", "writev"]));
        assert_eq!(unseen(&hooks, false, HTTP), None);
        assert!(unseen(&seen(&["writev", "close"]), true, HTTP).is_some(), "nothing sees what is read");
        assert!(unseen(&seen(&["recvfrom", "close"]), true, HTTP).is_some(), "nothing sees what is written");
        assert_eq!(unseen(&[missing("why")], false, HTTP).as_deref(), Some("why"));
    }

    #[test]
    fn lines_need_no_more_than_calls_that_write() {
        assert_eq!(unseen(&seen(&["write", "writev"]), false, LOGS), None);
        assert!(unseen(&seen(&["write", "read"]), false, LOGS).is_some());
        assert_eq!(unseen(&seen(&["write"]), true, LOGS), None);
        assert!(unseen(&seen(&["read", "sendto"]), true, LOGS).is_some());
    }

    #[test]
    fn tracepoints_leave_no_hook_on_calls() {
        let mut plan = Plan { hooks: seen(&["read", "close"]), ..Plan::default() };
        by_tracepoints(&mut plan, "why".to_owned());
        assert_eq!((plan.hooks.len(), plan.tracepoints.as_deref()), (0, Some("why")));
    }
}
