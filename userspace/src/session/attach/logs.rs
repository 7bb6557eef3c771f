//! What is watched of the target's standard output and error: which hooks, and which descriptors.

use probe_common::config::Call;

use crate::probe::{Image, LogOptions};
use asyncscope_discovery::{
    process::{Process, procfs},
    syscalls,
    tokio::plan::{Placement, Plan, Program},
};
use asyncscope_trace::facts::{Hook, Sees};

/// Returns what can be seen of standard output and error, or why nothing can. Where hooks see the calls that write,
/// places one more at each of them.
pub(super) fn place(process: &Process, plan: &mut Plan, libraries: &mut [Image]) -> Result<LogOptions, String> {
    let descriptors = [1, 2].into_iter().filter(|number| is_asked_for(process.pid, *number));
    let descriptors = descriptors.fold(0, |set, number| set | 1 << number);
    if descriptors == 0 {
        return Err("both are closed, or connections of a network".to_owned());
    }
    if plan.tracepoints.is_some() {
        return Ok(LogOptions { descriptors, tracepoints: true });
    }
    let all = std::iter::once(&mut plan.placements).chain(libraries.iter_mut().map(|image| &mut image.placements));
    let placed: usize = all.map(add_to).sum();
    if placed == 0 {
        return Err("no system call that writes has a hook (see `asyncscope inspect`)".to_owned());
    }
    let writes = |hook: &&Hook| hook.sees == Sees::Http && hook.call().is_some_and(syscalls::is_write);
    let hooks: Vec<Hook> = plan.hooks.iter().filter(writes).cloned().collect();
    plan.hooks.extend(hooks.into_iter().map(|hook| Hook { sees: Sees::Logs, ..hook }));
    Ok(LogOptions { descriptors, tracepoints: false })
}

/// Adds a hook wherever a call that writes is seen, for what it writes to standard output and error.
fn add_to(placements: &mut Vec<Placement>) -> usize {
    let writes = |placement: &&Placement| {
        placement.program == Program::Transfer
            && matches!(Call::unpack(placement.cookie), Call::Write | Call::WriteVector)
    };
    let of_print = |placement: &Placement| Placement { program: Program::Print, ..placement.clone() };
    let new: Vec<Placement> = placements.iter().filter(writes).map(of_print).collect();
    placements.extend_from_slice(&new);
    new.len()
}

/// Returns `true` if the descriptor is a file, a pipe, a terminal, or a socket of this machine: what goes through a
/// connection of a network is no log, and what a closed one will be is not known.
fn is_asked_for(pid: u32, descriptor: u32) -> bool {
    let Some(link) = procfs::link(pid, &format!("fd/{descriptor}")) else { return false };
    procfs::socket_inode(&link).is_none_or(|inode| procfs::unix_sockets(pid).contains(&inode))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_descriptors_are_is_looked_at() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (unix, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (_reader, pipe) = std::io::pipe().unwrap();
        let is_asked_for = |descriptor: &dyn AsRawFd| is_asked_for(std::process::id(), descriptor.as_raw_fd() as u32);
        assert!(is_asked_for(&unix) && is_asked_for(&pipe));
        assert!(!is_asked_for(&tcp) && !super::is_asked_for(std::process::id(), 1_000_000));
    }

    #[test]
    fn calls_that_write_are_seen_twice() {
        let at = |call: Call| Placement {
            program: Program::Transfer,
            address: asyncscope_discovery::addr::ElfAddr(call as u64),
            offset: asyncscope_discovery::addr::FileOffset(0),
            bytes: vec![0x90],
            cookie: call as u64,
        };
        let mut placements = [Call::Read, Call::Write, Call::Send, Call::WriteVector].map(at).to_vec();
        assert_eq!(add_to(&mut placements), 2);
        let cookies = placements.iter().filter(|placement| placement.program == Program::Print);
        assert_eq!(cookies.map(|placement| placement.cookie).collect::<Vec<_>>(), [1, 3]);
    }
}
