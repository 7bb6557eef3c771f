//! What the agent may do: not more than its caller, and after the attach no more than it still needs.
//!
//! A profiler reads the memory of production processes as root. Whatever a target, a recording or a
//! header value might one day make it do, once the hooks are armed it can start no program, stop or
//! write no process, and load nothing into the kernel.

mod filter;

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability, CapsHashSet};

use crate::probe::{self, kernel};
use asyncscope_discovery::{
    error::TraceRefusal,
    process::{Process, procfs},
};

/// From 5.19 on, a process without `CAP_BPF` may use the maps that it holds.
/// <https://github.com/torvalds/linux/commit/c8644cd0efe719608ddcb341bcf087d4bc0bf6b8>
const MAPS_ARE_FREE: kernel::Since = (5, 19);

/// Refuses a target that the caller could not trace without the privileges that asyncscope's own file
/// gave: with file capabilities, or set-user-id, it would lend them to everybody.
///
/// # Errors
///
/// A sentence, if the target is somebody else's, or has privileges of its own.
pub(super) fn check_caller(process: &Process) -> Result<()> {
    if !probe::privileges_are_lent() {
        return Ok(());
    }
    let status = procfs::status(process.pid, process.pid)
        .with_context(|| format!("cannot read whose process {} is", process.pid))?;
    let caller = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    let own = status.users.iter().all(|&user| user == caller.0) && status.groups.iter().all(|&group| group == caller.1);
    if own && status.permitted == 0 {
        return Ok(());
    }
    bail!(
        "process {} is not yours alone to trace, and this asyncscope got its privileges from its file: run it with \
         sudo, or attach to a process of your own",
        process.pid
    )
}

/// Returns why the kernel does not let this process look at another's memory.
pub(super) fn why_not_traced() -> TraceRefusal {
    match caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_PTRACE) {
        Ok(true) => TraceRefusal::Forbidden,
        _ => TraceRefusal::NoCapability,
    }
}

/// Gives up, in this thread and those that it starts, all that is not needed once the hooks are armed.
///
/// # Errors
///
/// The kernel refuses.
pub(super) fn lock_down() -> Result<()> {
    nix::sys::prctl::set_no_new_privs().context("cannot renounce new privileges")?;
    drop_capabilities().context("cannot drop capabilities")?;
    filter::install().context("cannot restrict system calls")
}

/// Keeps what reading the target's memory takes, and on old kernels what reading maps does.
fn drop_capabilities() -> Result<()> {
    let mut keep = CapsHashSet::from([Capability::CAP_SYS_PTRACE]);
    if kernel::is_before(MAPS_ARE_FREE) {
        keep.insert(Capability::CAP_BPF);
    }
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = held.intersection(&keep).copied().collect();
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Set where this program is to be the one that is locked down, which cannot be undone.
    const LOCKED: &str = "ASYNCSCOPE_TEST_LOCKED";

    #[test]
    fn what_a_locked_down_process_cannot_do() {
        if std::env::var_os(LOCKED).is_some() {
            return attempt();
        }
        let test = "session::privileges::tests::what_a_locked_down_process_cannot_do";
        let own = std::env::current_exe().unwrap();
        let output = Command::new(own).args(["--exact", test, "--nocapture"]).env(LOCKED, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("1 passed"), "{said} {output:?}");
    }

    fn attempt() {
        let directory = std::env::temp_dir().join(format!("asyncscope-locked-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let (old, new) = (directory.join("old"), directory.join("new"));
        fs::write(&old, "old").unwrap();
        let own = nix::unistd::getpid();
        lock_down().unwrap();
        let denied = |error: std::io::Error| assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
        denied(Command::new("true").spawn().unwrap_err());
        let parent = nix::unistd::getppid();
        assert_eq!(nix::sys::signal::kill(parent, None), Err(nix::Error::EPERM));
        nix::sys::signal::kill(own, None).unwrap();
        assert_eq!(nix::sys::ptrace::attach(parent), Err(nix::Error::EPERM));
        denied(fs::OpenOptions::new().read(true).write(true).open("/proc/self/mem").unwrap_err());
        denied(fs::OpenOptions::new().append(true).open(&old).unwrap_err());
        denied(fs::OpenOptions::new().write(true).create(true).truncate(true).open(&old).unwrap_err());
        assert_eq!(fs::read(&old).unwrap(), b"old");
        fs::OpenOptions::new().write(true).create_new(true).open(&new).unwrap();
        assert!(caps::has_cap(None, CapSet::Permitted, Capability::CAP_SYS_ADMIN).is_ok_and(|has| !has));
        fs::remove_dir_all(&directory).unwrap();
    }
}
