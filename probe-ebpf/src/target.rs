//! Reads from the target's memory: a few words, at offsets that were handed down.

use aya_ebpf::{btf_maps::HashMap, helpers::bpf_probe_read_user, macros::btf_map};
use probe_common::{loss::Loss, record::Task};

/// The address of each known task vtable, and the offset of the task's id from its header in bytes.
#[btf_map]
static VTABLES: HashMap<u64, u32, 4096> = HashMap::new();

/// `Header` up to its vtable: `{ state, queue_next, vtable, … }`.
///
/// Source: <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/core.rs#L159-L190>
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Header {
    pub state: u64,
    queue_next: u64,
    vtable: u64,
}

/// A word of the target's memory.
#[inline(always)]
pub fn read(address: u64) -> Option<u64> {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}

/// The task with this header, and its state word now.
#[inline(always)]
pub fn task(header: u64) -> Result<(Task, u64), Loss> {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    let read_header = unsafe { bpf_probe_read_user(header as *const Header) };
    let Ok(Header { state, vtable, .. }) = read_header else { return Err(Loss::HeaderUnreadable) };
    // SAFETY: the value is copied at once, and the agent never changes the map while hooks are armed.
    let Some(&id_offset) = (unsafe { VTABLES.get(&vtable) }) else { return Err(Loss::NotATask) };
    let Some(id) = read(header + u64::from(id_offset)) else { return Err(Loss::IdUnreadable) };
    Ok((Task { header, id, vtable }, state))
}
