//! The `bpf` system call, for what aya does not offer.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_info, bpf_insn, bpf_prog_info, bpf_prog_type};

use super::ProbeError;

/// The licence that every program here declares itself to be under.
const LICENCE: &CStr = c"Dual MIT/GPL";

/// A program that the kernel is to take: one on uprobes, or one that nothing runs.
pub(super) struct NewProgram<'a> {
    /// Its name, of which the kernel keeps 15 bytes.
    pub(super) name: &'a str,
    /// The type of what it is to be attached to, where the kernel wants to know that beforehand.
    pub(super) attach_type: Option<bpf_attach_type>,
    /// Its instructions.
    pub(super) instructions: &'a [bpf_insn],
    /// Its functions, and the types that they are described with.
    pub(super) functions: Option<(&'a [bpf_func_info], BorrowedFd<'a>)>,
}

impl NewProgram<'_> {
    /// Has the kernel take the program. The verifier's words go into the log, where there is room for them.
    pub(super) fn load(&self, log: &mut [u8]) -> io::Result<OwnedFd> {
        let mut attributes = nothing();
        // SAFETY: all is zero, which is a value of each part of the union.
        let load = unsafe { &mut attributes.__bindgen_anon_3 };
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
        load.expected_attach_type = self.attach_type.map_or(0, |attach_type| attach_type as u32);
        load.insn_cnt = self.instructions.len() as u32;
        load.insns = self.instructions.as_ptr() as u64;
        load.license = LICENCE.as_ptr() as u64;
        load.prog_name.iter_mut().zip(self.name.bytes().take(15)).for_each(|(to, from)| *to = from.cast_signed());
        if !log.is_empty() {
            (load.log_level, load.log_size, load.log_buf) = (1, log.len() as u32, log.as_mut_ptr() as u64);
        }
        if let Some((functions, types)) = self.functions {
            load.prog_btf_fd = types.as_raw_fd().cast_unsigned();
            load.func_info_rec_size = size_of::<bpf_func_info>() as u32;
            (load.func_info, load.func_info_cnt) = (functions.as_ptr() as u64, functions.len() as u32);
        }
        // SAFETY: the instructions, the functions, the licence and the log outlive the call, with the lengths stated.
        unsafe { descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes) }
    }
}

/// Has the kernel take a program that does nothing.
pub(super) fn load_nothing(attach_type: Option<bpf_attach_type>) -> io::Result<OwnedFd> {
    const RETURN_0: [(u8, i32); 2] = [(0xb7, 0), (0x95, 0)]; // `r0 = 0`, `exit`
    let instructions = RETURN_0.map(|(code, imm)| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm,
    });
    NewProgram { name: "", attach_type, instructions: &instructions, functions: None }.load(&mut [])
}

/// Returns why the kernel takes no program at all, if it takes none.
pub(super) fn refusal() -> Option<ProbeError> {
    load_nothing(None).err().map(|error| ProbeError::kernel("load eBPF programs", &error))
}

/// Has the kernel take types.
pub(super) fn load_types(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut attributes = nothing();
    attributes.__bindgen_anon_7.btf = bytes.as_ptr() as u64;
    attributes.__bindgen_anon_7.btf_size = bytes.len() as u32;
    // SAFETY: the bytes outlive the call, with the length stated.
    unsafe { descriptor(bpf_cmd::BPF_BTF_LOAD, &mut attributes) }
}

/// Links a program of this process's to the instructions at these offsets of a file.
pub(super) fn link_uprobes(
    program: BorrowedFd<'_>,
    pid: u32,
    path: &CStr,
    hooks: &[(u64, u64)],
) -> io::Result<OwnedFd> {
    let (offsets, cookies): (Vec<u64>, Vec<u64>) = hooks.iter().copied().unzip();
    let mut attributes = link_to(program, bpf_attach_type::BPF_TRACE_UPROBE_MULTI);
    // SAFETY: the part in question is zero, which is a value of it.
    let uprobes = unsafe { &mut attributes.link_create.__bindgen_anon_3.uprobe_multi };
    uprobes.path = path.as_ptr() as u64;
    uprobes.offsets = offsets.as_ptr() as u64;
    uprobes.cookies = cookies.as_ptr() as u64;
    (uprobes.cnt, uprobes.pid) = (offsets.len() as u32, pid);
    // SAFETY: the path and both arrays outlive the call, with the lengths stated.
    unsafe { descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes) }
}

/// A link to an event that is none: the kernel's answer says whether it knows such links.
pub(super) fn link_to_no_event(program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = link_to(program, bpf_attach_type::BPF_PERF_EVENT);
    attributes.link_create.__bindgen_anon_2.target_fd = u32::MAX;
    // SAFETY: there are only numbers and a descriptor in it.
    unsafe { descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attributes) }.map(drop)
}

fn link_to(program: BorrowedFd<'_>, attach_type: bpf_attach_type) -> bpf_attr {
    let mut attributes = nothing();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.attach_type = attach_type as u32;
    attributes
}

/// Returns how often the kernel left out a run of the program, because the CPU had not ended another run of it.
///
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L6562-L6604>, and
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L2388-L2402>
pub(super) fn runs_left_out(program: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: integers, of which zero is a value.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    let mut attributes = nothing();
    attributes.info.bpf_fd = program.as_raw_fd().cast_unsigned();
    attributes.info.info_len = size_of::<bpf_prog_info>() as u32;
    attributes.info.info = (&raw mut info) as u64;
    // SAFETY: the kernel writes no more to the information than its length, which is stated.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(info.recursion_misses)
}

fn nothing() -> bpf_attr {
    // SAFETY: a union of structs of integers, of which zero is a value.
    unsafe { std::mem::zeroed() }
}

/// Calls `bpf` with a command that returns a descriptor.
///
/// # Safety
///
/// As for [`bpf`].
unsafe fn descriptor(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: the kernel just gave this descriptor to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls `bpf`, and returns what is not negative.
///
/// # Safety
///
/// Every address in the command's part of `attributes` must be valid for what the command reads and writes.
unsafe fn bpf(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: as the caller promises; the kernel reads no more than the given size.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as u32, std::ptr::from_mut(attributes), size_of::<bpf_attr>()) };
    i32::try_from(result).ok().filter(|&result| result >= 0).ok_or_else(io::Error::last_os_error)
}
