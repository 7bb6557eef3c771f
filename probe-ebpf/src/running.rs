//! Which task a thread runs, by what tokio keeps in the thread's own memory.

use aya_ebpf::{
    btf_maps::Array,
    helpers::{bpf_get_current_task, bpf_probe_read_kernel},
    macros::btf_map,
};
use probe_common::config::Sampling;

use crate::target::read;

#[btf_map]
static SAMPLING: Array<Sampling, 1> = Array::new();

/// The values that the agent handed down.
#[inline(always)]
pub fn sampling() -> Option<&'static Sampling> {
    SAMPLING.get(0)
}

/// Returns `true` if records are to say which task the thread runs: where polls, which would show that, have no hooks.
#[inline(always)]
pub fn is_wanted() -> bool {
    sampling().is_some_and(|sampling| sampling.below != 0 && sampling.traced == 0)
}

/// Returns `true` if it is known where to look.
#[inline(always)]
pub fn is_known() -> bool {
    sampling().is_some_and(|sampling| sampling.below != 0)
}

/// The id of the task that this thread runs; 0 for none. `None`: it cannot be read.
#[inline(always)]
pub fn task() -> Option<u64> {
    let sampling = sampling()?;
    // SAFETY: a helper without preconditions.
    let task = unsafe { bpf_get_current_task() };
    // SAFETY: the helper copies, and fails instead of faulting.
    let base = unsafe { bpf_probe_read_kernel((task + sampling.thread_pointer) as *const u64) }.ok()?;
    let place = base.wrapping_sub(sampling.below);
    if sampling.tagged != 0 && read(place.wrapping_sub(8))? != 1 {
        return Some(0);
    }
    read(place)
}
