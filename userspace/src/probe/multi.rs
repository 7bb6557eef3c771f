//! Hooks by `uprobe_multi`: one link carries all hooks of a program, and detaches as quickly as one.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
};

use aya_obj::generated::bpf_attach_type;

use super::{
    Group, ProbeError,
    code::ProgramCode,
    kernel::{self, Since},
    load::LoadedObject,
    syscall::{NewProgram, link_uprobes, load_nothing},
};
use asyncscope_discovery::tokio::plan::Program;

const ATTACH_TYPE: bpf_attach_type = bpf_attach_type::BPF_TRACE_UPROBE_MULTI;
/// Up to 6.9, the kernel's filter by process misses all threads but the first.
/// <https://github.com/torvalds/linux/commit/46ba0e49b64232adac35a2bc892f1710c5b0fb7f>
const FIRST_GOOD: Since = (6, 10);
/// Of the verifier's log, which is asked for only after a refusal, the end.
const LOG_LEN: usize = 4 << 20;

/// A program and its link; dropping them removes the hooks.
#[derive(Debug)]
pub(super) struct MultiLink {
    _link: OwnedFd,
    _program: OwnedFd,
}

/// Returns `true` if this kernel has `uprobe_multi`, with a filter that sees all threads of a process.
pub(super) fn is_supported() -> bool {
    kernel::is_since(FIRST_GOOD) && load_nothing(Some(ATTACH_TYPE)).is_ok_and(|program| has_links(&program))
}

/// A kernel that has such links says that a directory is no file to attach to.
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L3389-L3392>
fn has_links(program: &OwnedFd) -> bool {
    let link = link_uprobes(program.as_fd(), 0, c"/", &[(0, 0)]);
    link.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
}

/// Has the kernel verify the program.
pub(super) fn load(loaded: &mut LoadedObject, program: Program) -> Result<OwnedFd, ProbeError> {
    let ProgramCode { instructions, functions } = loaded.code(program.name())?;
    let new = NewProgram { name: program.name(), attach_type: Some(ATTACH_TYPE), instructions, functions };
    let error = match new.load(&mut []) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    if error.raw_os_error() == Some(libc::EPERM) {
        return Err(refused(&error));
    }
    let mut log = vec![0; LOG_LEN];
    new.load(&mut log).map_err(|_| ProbeError::Verifier {
        program: program.name(),
        why: error.to_string(),
        log: last_words(&log),
    })
}

fn last_words(log: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(log).trim_end_matches('\0').to_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn refused(error: &io::Error) -> ProbeError {
    ProbeError::kernel("load eBPF programs", error)
}

/// Loads the program and arms its hooks.
pub(super) fn attach(loaded: &mut LoadedObject, group: &Group<'_>) -> Result<MultiLink, ProbeError> {
    let Group { pid, path, program: which, placements, empty } = *group;
    let program =
        if empty { load_nothing(Some(ATTACH_TYPE)).map_err(|error| refused(&error))? } else { load(loaded, which)? };
    let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let hooks: Vec<(u64, u64)> = placements.iter().map(|hook| (hook.offset.0, hook.cookie)).collect();
    let link = link_uprobes(program.as_fd(), pid, &path, &hooks);
    let link = link.map_err(|error| ProbeError::kernel(&format!("attach the hooks of {}", which.name()), &error))?;
    Ok(MultiLink { _link: link, _program: program })
}
