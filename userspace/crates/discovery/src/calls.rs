//! Hooks on system calls: in the executable, and in the C library that it loaded.

use probe_common::config::Call;

use super::{
    addr::ElfAddr,
    builder::Builder,
    elf::Elf,
    plan::{Plan, Program},
    x86_64::{code::Code, syscalls},
};
use asyncscope_trace::facts::Hook;

/// What the hooks of [`Program::Transfer`] see.
pub const TRANSFER: &str = "http";
/// What those of [`Program::Print`] see.
pub const LOGS: &str = "logs";
/// What those of [`Program::Descriptor`] see.
pub const DESCRIPTOR: &str = "connection";

/// The hooks on system calls in a library, as a plan without anything else.
///
/// # Errors
///
/// None: what is not there is a missing hook.
pub fn discover_library(elf: &Elf<'_>) -> Result<Plan, String> {
    let mut builder = Builder::new(elf);
    place(&mut builder, &Code::new(elf));
    let Builder { placements, hooks, .. } = builder;
    Ok(Plan { placements, hooks, ..Plan::default() })
}

/// Places the hooks on all system calls that matter.
pub(super) fn place(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>) {
    let syscalls::Found { mut sites, unknown, unseen } = syscalls::find(code);
    tracing::debug!(
        "system calls: {} seen, {unknown} with a number from elsewhere, {unseen} without a place",
        sites.len()
    );
    if unseen > 0 {
        builder.missing(TRANSFER, &format!("{unseen} system calls have no instruction beside them for a probe"));
    }
    // What ends a descriptor is armed before what begins one, so that no end is missed after a beginning
    // was seen.
    sites.sort_by_key(|site| (matches!(site.call, Call::Accept | Call::Connect), ElfAddr(site.at.ip())));
    for site in sites {
        let (program, sees) =
            if site.call.moves_bytes() { (Program::Transfer, TRANSFER) } else { (Program::Descriptor, DESCRIPTOR) };
        builder.place(program, &site.at, site.call as u64, sees, how(site.call));
    }
}

fn how(call: Call) -> &'static str {
    match call {
        Call::Read => "behind the system call read",
        Call::Write => "behind the system call write",
        Call::ReadVector => "behind the system calls readv, preadv2",
        Call::WriteVector => "behind the system calls writev, pwritev2",
        Call::Receive => "behind the system call recvfrom",
        Call::Send => "behind the system call sendto",
        Call::ReceiveMessage => "behind the system call recvmsg",
        Call::SendMessage => "behind the system call sendmsg",
        Call::SendFile | Call::Splice | Call::Several => "behind system calls that move bytes unseen",
        Call::Close => "before the system call close",
        Call::Accept => "behind the system calls accept, accept4",
        Call::Connect => "behind the system call connect",
        Call::Duplicate | Call::Control => "behind system calls that duplicate a descriptor",
    }
}

/// The calls by which sockets are read, written and closed: a C library has all of them.
const NEEDED: [(&str, &str); 7] = [
    ("read", "behind the system call read"),
    ("write", "behind the system call write"),
    ("readv", "behind the system calls readv"),
    ("writev", "behind the system calls writev"),
    ("recvfrom", "behind the system call recvfrom"),
    ("sendto", "behind the system call sendto"),
    ("close", "before the system call close"),
];

/// Which of the calls that sockets need have no hook among these.
#[must_use]
pub fn lacking(hooks: &[Hook]) -> Vec<&'static str> {
    let is_seen = |how: &str| hooks.iter().any(|hook| hook.address.is_some() && tells(&hook.how, how));
    NEEDED.into_iter().filter(|(_, how)| !is_seen(how)).map(|(name, _)| name).collect()
}

/// Whether a hook that was found so sees a call that writes what lies in memory, and to any file.
#[must_use]
pub fn is_of_write(how: &str) -> bool {
    [Call::Write, Call::WriteVector].iter().any(|call| tells(how, self::how(*call)))
}

/// Whether a hook was found in this way. A library's name may stand before, and more calls behind.
fn tells(told: &str, how: &str) -> bool {
    told.split_once(how).is_some_and(|(_, rest)| !rest.starts_with(char::is_alphanumeric))
}
