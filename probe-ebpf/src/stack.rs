//! Where programs keep what they work on: on the stack of the thread that they interrupted.
//!
//! From 6.13 on the kernel may give a program at a uprobe a stack for each CPU instead, in the belief that it runs
//! there once at a time. But such a program may be preempted, and run again in another thread before it goes on: both
//! would then write to the same stack, and a pointer of the one may be a word of the target's memory in the other,
//! which the kernel follows, and dies. A program that makes tail calls gets no stack of that kind.
//! `bpf_enable_priv_stack` in <https://github.com/torvalds/linux/blob/v6.13/kernel/bpf/verifier.c>

use aya_ebpf::{btf_maps::ProgramArray, macros::btf_map, programs::ProbeContext};

/// Programs that are called: none.
#[btf_map]
static NOWHERE: ProgramArray<1> = ProgramArray::new();

/// Has the program run on the stack of the thread, by a tail call that leads nowhere. To be called first.
#[inline(always)]
pub fn of_the_thread(ctx: &ProbeContext) {
    // SAFETY: there is no such program, so the call does nothing, and returns.
    unsafe { NOWHERE.tail_call(ctx, 0) }
}
