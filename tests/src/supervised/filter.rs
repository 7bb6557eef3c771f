//! The filter that hands system calls to the supervisor, and the way of its answers.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::Feature;
use super::request::{self, Request};

/// The descriptor of the listener in the agent: none that it opens itself is as high.
pub(super) const LISTENER: i32 = 200;
/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND`.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/seccomp.h#L147-L150>
const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;

/// Has the command install the filter before it is there.
pub(super) fn put_before(command: &mut Command, without: Option<&Feature>) {
    let [third, fourth] = others(without);
    let calls = [libc::SYS_bpf, libc::SYS_openat, third, fourth].map(|call| call as u32);
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(move || install(calls)) };
}

/// Returns what is looked at beside the calls that most features take.
fn others(without: Option<&Feature>) -> [i64; 2] {
    match without {
        Some(Feature::Call(number, _)) => [*number; 2],
        Some(Feature::Trace) => [libc::SYS_process_vm_readv, libc::SYS_ptrace],
        _ => [libc::SYS_bpf; 2],
    }
}

/// Source: `struct seccomp_data` in <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/seccomp.h>
fn install(calls: [u32; 4]) -> io::Result<()> {
    const NUMBER_AT: u32 = 0;
    let load = |k| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k };
    let if_is = |k, jt| libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt, jf: 0, k };
    let end = |k| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let [first, second, third, fourth] = calls;
    let filter = [
        load(NUMBER_AT),
        if_is(first, 4),
        if_is(second, 3),
        if_is(third, 2),
        if_is(fourth, 1),
        end(libc::SECCOMP_RET_ALLOW),
        end(libc::SECCOMP_RET_USER_NOTIF),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let (set, listen) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the filter lives until the call is over, and the kernel copies it.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, set, listen, &raw const program) };
    // SAFETY: the call touches no memory. The copy stays open over `exec`.
    if listener < 0 || unsafe { libc::dup2(listener as i32, LISTENER) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The next call, by its id; `None` if who made it is gone.
pub(super) fn receive(listener: &OwnedFd) -> io::Result<Option<(u64, Request)>> {
    // SAFETY: numbers alone, which the kernel wants to be zero.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such structure.
    if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut call) } < 0 {
        let error = io::Error::last_os_error();
        return if is_gone(&error) { Ok(None) } else { Err(error) };
    }
    Ok(Some((call.id, request::read(call.pid, i64::from(call.data.nr), &call.data.args))))
}

/// Lets it through, or has it fail.
pub(super) fn answer(listener: &OwnedFd, id: u64, errno: Option<i32>) -> io::Result<()> {
    let flags = if errno.is_none() { libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32 } else { 0 };
    let mut answer = libc::seccomp_notif_resp { id, val: 0, error: errno.map_or(0, |errno| -errno), flags };
    // SAFETY: the kernel reads one such structure.
    if unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut answer) } < 0 {
        let error = io::Error::last_os_error();
        return if is_gone(&error) { Ok(()) } else { Err(error) };
    }
    Ok(())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR))
}
