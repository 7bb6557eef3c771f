//! Hooks by `uprobe_multi`: one link carries all hooks of a program, and detaches as quickly as one.

use std::{
    ffi::CString,
    io,
    os::{fd::AsRawFd as _, fd::OwnedFd, unix::ffi::OsStrExt as _},
};

use super::{
    Group, ProbeError,
    load::{Code, Loaded},
    syscall::{Command, bpf},
};
use asyncscope_discovery::plan::Program;

/// `BPF_PROG_TYPE_KPROBE`
const PROGRAM_TYPE: u32 = 2;
/// `BPF_TRACE_UPROBE_MULTI`
const ATTACH_TYPE: u32 = 48;
/// Up to 6.9, the kernel's filter by process misses all threads but the first.
/// <https://github.com/torvalds/linux/commit/46ba0e49b64232adac35a2bc892f1710c5b0fb7f>
const FIRST_GOOD: (u64, u64) = (6, 10);
/// Of the verifier's log, which is asked for only after a refusal, the end.
const LOG_LEN: usize = 4 << 20;

/// A program and its link; dropping them removes the hooks.
#[derive(Debug)]
pub(super) struct Attached {
    _link: OwnedFd,
    _program: OwnedFd,
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` reads here.
#[derive(Default)]
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    types_fd: u32,
    function_info_size: u32,
    function_info: u64,
    function_info_count: u32,
    padding: u32,
}
const _: () = assert!(size_of::<ProgLoad>() == 96);

/// The part of `union bpf_attr` that `BPF_LINK_CREATE` reads for `uprobe_multi`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    cnt: u32,
    multi_flags: u32,
    pid: u32,
    padding: u32,
}
const _: () = assert!(size_of::<LinkCreate>() == 64);

/// Whether this kernel has `uprobe_multi`, with a filter that sees all threads of a process.
pub(super) fn is_supported() -> bool {
    let is_new = procfs::sys::kernel::Version::current()
        .is_ok_and(|version| (u64::from(version.major), u64::from(version.minor)) >= FIRST_GOOD);
    let program = || load_small(PROGRAM_TYPE, ATTACH_TYPE, &NOTHING, &mut []);
    // A kernel that has such links says that a directory is no file to attach to.
    // https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L3389-L3392
    let has_links = |program| link_nothing(&program, ATTACH_TYPE).map_err(|error| error.raw_os_error());
    is_new && program().is_ok_and(|program| has_links(program) == Err(Some(libc::EBADF)))
}

/// Why the kernel takes no program at all, if it takes none.
pub(super) fn refusal() -> Option<ProbeError> {
    let loaded = load_small(PROGRAM_TYPE, 0, &NOTHING, &mut []);
    loaded.err().map(|error| ProbeError::kernel("load eBPF programs", &error))
}

/// `r0 = 0`, `exit`
pub(super) const NOTHING: [u64; 2] = [0xb7, 0x95];

/// Has the kernel take a program without maps. The verifier's words go into the log, where there is room for them.
pub(super) fn load_small(
    prog_type: u32,
    expected_attach_type: u32,
    instructions: &[u64],
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let mut attributes = ProgLoad {
        prog_type,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        expected_attach_type,
        ..ProgLoad::default()
    };
    // SAFETY: the instructions, the licence and the log outlive the call, with the lengths stated.
    unsafe { bpf(Command::ProgLoad, &mut attributes) }
}

/// A link to no event, and to no file: the kernel's answer tells whether it knows links of this type.
pub(super) fn link_nothing(program: &OwnedFd, attach_type: u32) -> io::Result<()> {
    let nowhere = [0_u64];
    let mut attributes = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_fd: u32::MAX,
        attach_type,
        flags: 0,
        path: c"/".as_ptr() as u64,
        offsets: nowhere.as_ptr() as u64,
        ref_ctr_offsets: 0,
        cookies: 0,
        cnt: 1,
        multi_flags: 0,
        pid: 0,
        padding: 0,
    };
    if attach_type != ATTACH_TYPE {
        // Where an event's cookie would be.
        attributes.path = 0;
    }
    // SAFETY: the path and the offset outlive the call.
    unsafe { bpf(Command::LinkCreate, &mut attributes) }.map(drop)
}

/// Has the kernel verify the program.
pub(super) fn load(loaded: &Loaded, program: Program) -> Result<OwnedFd, ProbeError> {
    let Code { function, types } = loaded.code(program.name())?;
    let (instructions, functions) = (&function.instructions, &function.func_info.func_info);
    let mut name = [0; 16];
    name.iter_mut().zip(program.name().bytes().take(15)).for_each(|(to, from)| *to = from);
    let mut log = Vec::new();
    let attempt = |log: &mut Vec<u8>| {
        let mut attributes = ProgLoad {
            prog_type: PROGRAM_TYPE,
            insn_cnt: instructions.len() as u32,
            insns: instructions.as_ptr() as u64,
            license: c"Dual MIT/GPL".as_ptr() as u64,
            log_level: u32::from(!log.is_empty()),
            log_size: log.len() as u32,
            log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
            kern_version: 0,
            prog_flags: 0,
            prog_name: name,
            prog_ifindex: 0,
            expected_attach_type: ATTACH_TYPE,
            types_fd: types.as_ref().map_or(0, |types| types.as_raw_fd() as u32),
            function_info_size: if types.is_some() { function.func_info_rec_size as u32 } else { 0 },
            function_info: if types.is_some() { functions.as_ptr() as u64 } else { 0 },
            function_info_count: if types.is_some() { functions.len() as u32 } else { 0 },
            padding: 0,
        };
        // SAFETY: the instructions, the functions, the licence and the log outlive the call, with the lengths stated.
        unsafe { bpf(Command::ProgLoad, &mut attributes) }
    };
    let error = match attempt(&mut log) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    if error.raw_os_error() == Some(libc::EPERM) {
        return Err(ProbeError::kernel("load eBPF programs", &error));
    }
    log.resize(LOG_LEN, 0);
    attempt(&mut log).map_err(|_| ProbeError::Verifier {
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

fn load_nothing() -> Result<OwnedFd, ProbeError> {
    let loaded = load_small(PROGRAM_TYPE, ATTACH_TYPE, &NOTHING, &mut []);
    loaded.map_err(|error| ProbeError::kernel("load eBPF programs", &error))
}

/// Loads the program and arms its hooks.
pub(super) fn attach(loaded: &Loaded, group: &Group<'_>) -> Result<Attached, ProbeError> {
    let Group { pid, path, program, placements, empty } = *group;
    let program_fd = if empty { load_nothing()? } else { load(loaded, program)? };
    let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let offsets: Vec<u64> = placements.iter().map(|placement| placement.offset.0).collect();
    let cookies: Vec<u64> = placements.iter().map(|placement| placement.cookie).collect();
    let mut attributes = LinkCreate {
        prog_fd: program_fd.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: ATTACH_TYPE,
        flags: 0,
        path: path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        ref_ctr_offsets: 0,
        cookies: cookies.as_ptr() as u64,
        cnt: offsets.len() as u32,
        multi_flags: 0,
        pid,
        padding: 0,
    };
    // SAFETY: the path and both arrays outlive the call, with the lengths stated.
    let link = unsafe { bpf(Command::LinkCreate, &mut attributes) };
    let link = link.map_err(|error| ProbeError::kernel(&format!("attach the hooks of {}", program.name()), &error))?;
    Ok(Attached { _link: link, _program: program_fd })
}
