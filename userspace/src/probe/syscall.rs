//! The `bpf` system call, for what aya does not offer.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
};

/// The commands used here.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L906-L955>
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(super) enum Command {
    ProgLoad = 5,
    BtfLoad = 18,
    LinkCreate = 28,
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
