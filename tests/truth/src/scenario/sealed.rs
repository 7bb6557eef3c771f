//! A process whose seccomp filter kills it at any system call that the filter does not know.

use std::io;

use anyhow::{Result, ensure};

use super::work::rounds;
use super::{Deadline, multi_thread_runtime};

/// The calls up to `rseq`, and from `pidfd_send_signal` to `cachestat`. Between them, where no program makes
/// any, the kernel put those of its own probes: `uretprobe` (335) and `uprobe` (336).
/// <https://github.com/torvalds/linux/blob/v6.18/arch/x86/entry/syscalls/syscall_64.tbl>
const FIRST_UNKNOWN: u32 = 335;
const FIRST_KNOWN_AGAIN: u32 = 424;
const LAST_KNOWN: u32 = 451;
/// One that no kernel has.
pub(super) const UNKNOWN: i64 = 400;

pub(super) fn run(deadline: Deadline) -> Result<()> {
    let runtime = multi_thread_runtime(4)?;
    seal()?;
    runtime.block_on(rounds(deadline, 8));
    Ok(())
}

/// From here on every thread of the process is under the filter.
/// <https://man7.org/linux/man-pages/man2/seccomp.2.html>
pub(super) fn seal() -> Result<()> {
    const NUMBER_AT: u32 = 0;
    let filter = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, NUMBER_AT),
        filter(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 2, 0, LAST_KNOWN),
        filter(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 2, 0, FIRST_KNOWN_AGAIN),
        filter(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, FIRST_UNKNOWN),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: u16::try_from(program.len())?, filter: program.as_mut_ptr() };
    // SAFETY: the call takes no pointers.
    let no_more = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    ensure!(no_more == 0, io::Error::last_os_error());
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
    // SAFETY: the program outlives the call, with the length stated.
    let sealed = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    ensure!(sealed == 0, io::Error::last_os_error());
    Ok(())
}
