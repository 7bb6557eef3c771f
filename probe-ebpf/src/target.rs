//! Reads from the target's memory: a few words, at offsets that were handed down.

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    helpers::bpf_probe_read_user,
    macros::btf_map,
};
use probe_common::{
    loss::Loss,
    record::Task,
    vtables::{self, PAIRS, Pair},
};

/// The known task vtables.
#[btf_map]
static VTABLES: Array<Pair, PAIRS> = Array::new();

/// Those of them that found no room there: the address, and the offset of the task's id from its header in bytes.
#[btf_map]
static MORE_VTABLES: HashMap<u64, u32, 4096> = HashMap::new();

/// `Header` and what follows it: `{ state, queue_next, vtable, … }`, then `Core`, which begins with the scheduler and
/// the id.
///
/// A task is never shorter than this: its future and its `Trailer`, of two links and a waker, follow.
/// Source: <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/core.rs#L33-L190>
type Front = [u64; 8];
const STATE: usize = 0;
const VTABLE: usize = 2;

/// A word of the target's memory.
#[inline(always)]
pub fn read(address: u64) -> Option<u64> {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}

/// The task with this header, and its state word now.
///
/// One copy brings all that is wanted of most tasks: a copy costs more than what it copies.
#[inline(always)]
pub fn task(header: u64) -> Result<(Task, u64), Loss> {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    let read_front = unsafe { bpf_probe_read_user(header as *const Front) };
    let Ok(front) = read_front else { return Err(Loss::HeaderUnreadable) };
    let (state, vtable) = (front[STATE], front[VTABLE]);
    let Some(id_offset) = id_offset(vtable) else { return Err(Loss::NotATask) };
    let id = match id_offset {
        32 => Some(front[4]),
        40 => Some(front[5]),
        48 => Some(front[6]),
        56 => Some(front[7]),
        _ => read(header + u64::from(id_offset)),
    };
    let Some(id) = id else { return Err(Loss::IdUnreadable) };
    Ok((Task { header, id, vtable }, state))
}

/// Returns the place of the id of a task with this vtable, if there is one. The agent never changes the maps while hooks are armed.
#[inline(always)]
fn id_offset(vtable: u64) -> Option<u32> {
    let pair = *VTABLES.get(vtables::place(vtable))?;
    // SAFETY: the value is copied at once.
    vtables::id_offset(pair, vtable).or_else(|| unsafe { MORE_VTABLES.get(&vtable) }.copied())
}
