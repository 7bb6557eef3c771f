//! Hooks on system calls: in the executable, and in the C library that it loaded.

use probe_common::config::Call;

use crate::{
    addr::ElfAddr,
    code::x86_64::{code::Code, syscalls},
    image::elf::Elf,
    tokio::{
        plan::{Plan, Program},
        plan_builder::Builder,
    },
};
use asyncscope_trace::facts::{Hook, MissingReason, Proof, Sees, SystemCall, Unreadable};

/// The hooks on system calls in a library, as a plan without anything else.
///
/// # Errors
///
/// None: what is not there is a missing hook.
pub fn discover_library(elf: &Elf<'_>) -> Result<Plan, Unreadable> {
    let mut builder = Builder::new(elf);
    place(&mut builder, &Code::new(elf));
    let Builder { placements, hooks, .. } = builder;
    Ok(Plan { placements, hooks, ..Plan::default() })
}

/// Places the hooks on all system calls that matter.
pub(super) fn place(builder: &mut Builder<'_, '_>, code: &Code<'_, '_>) {
    let syscalls::SyscallSites { mut sites, unknown, unseen } = syscalls::find(code);
    tracing::debug!(
        "system calls: {} seen, {unknown} with a number from elsewhere, {unseen} without a place",
        sites.len()
    );
    if unseen > 0 {
        builder.missing(Sees::Http, MissingReason::CallsWithoutPlace { count: unseen });
    }
    // What ends a descriptor is armed before what begins one, so that no end is missed after a beginning
    // was seen.
    sites.sort_by_key(|site| (matches!(site.call, Call::Accept | Call::Connect), ElfAddr(site.at.ip())));
    for site in sites {
        let (program, sees) = if site.call.moves_bytes() {
            (Program::Transfer, Sees::Http)
        } else {
            (Program::Descriptor, Sees::Connection)
        };
        builder.place(program, &site.at, site.call as u64, sees, Proof::SystemCall { call: site.call.into() });
    }
}

/// The calls by which sockets are read, written and closed: a C library has all of them.
const NEEDED: [SystemCall; 7] = [
    SystemCall::Read,
    SystemCall::Write,
    SystemCall::ReadVector,
    SystemCall::WriteVector,
    SystemCall::Receive,
    SystemCall::Send,
    SystemCall::Close,
];

/// The calls that sockets need and that have no hook among these.
#[must_use]
pub fn lacking(hooks: &[Hook]) -> Vec<SystemCall> {
    let is_seen = |call: &SystemCall| hooks.iter().any(|hook| hook.call() == Some(*call));
    NEEDED.into_iter().filter(|call| !is_seen(call)).collect()
}

/// Returns `true` if the call writes what lies in memory, and to any file.
#[must_use]
pub fn is_write(call: SystemCall) -> bool {
    matches!(call, SystemCall::Write | SystemCall::WriteVector)
}
