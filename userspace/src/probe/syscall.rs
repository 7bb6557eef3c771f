//! The `bpf` system call, for what aya does not offer.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// The commands used here.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L906-L955>
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Command {
    MapCreate = 0,
    ProgLoad = 5,
    ObjGetInfoByFd = 15,
    BtfLoad = 18,
    LinkCreate = 28,
}

/// The part of `union bpf_attr` that `BPF_OBJ_GET_INFO_BY_FD` reads.
#[repr(C)]
struct GetInfo {
    fd: u32,
    len: u32,
    info: u64,
}

/// How often the kernel left out a run of the program, because the CPU had not ended another run of it.
///
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L6562-L6604>, and
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/trace/bpf_trace.c#L2388-L2402>
pub(super) fn runs_left_out(program: BorrowedFd<'_>) -> io::Result<u64> {
    const AT: usize = 208;
    const LEN: usize = AT + 8;
    let mut info = [0_u64; LEN / 8];
    let mut attributes =
        GetInfo { fd: program.as_raw_fd().cast_unsigned(), len: LEN as u32, info: info.as_mut_ptr() as u64 };
    let (command, size) = (Command::ObjGetInfoByFd as u32, size_of::<GetInfo>());
    // SAFETY: the kernel writes no more to the information than its length, which is stated.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attributes, size) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info[AT / 8])
}

/// Calls `bpf` with a command that returns a descriptor.
///
/// # Safety
///
/// `attributes` must be the command's part of `union bpf_attr`, and every address in it valid for what
/// the command reads and writes.
pub(super) unsafe fn bpf<T>(command: Command, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promises; the kernel reads no more than the size it is told.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as u32, std::ptr::from_mut(attributes), size_of::<T>()) };
    let fd = i32::try_from(result).ok().filter(|&fd| fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel just gave this descriptor to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
