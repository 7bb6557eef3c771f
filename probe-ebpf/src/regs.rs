//! Registers of the interrupted thread. The only file that knows x86-64.

use aya_ebpf::{EbpfContext as _, bindings::pt_regs, helpers::bpf_probe_read_kernel, programs::ProbeContext};

const ZERO_FLAG: u64 = 1 << 6;

fn regs(ctx: &ProbeContext) -> &pt_regs {
    // SAFETY: the context of a uprobe program is the interrupted thread's `pt_regs`.
    unsafe { &*ctx.as_ptr().cast::<pt_regs>() }
}

/// The register at this place (in words) of `pt_regs`. 0 if it cannot be read.
#[inline(always)]
pub fn word(ctx: &ProbeContext, place: u8) -> u64 {
    let address = (ctx.as_ptr() as u64 + u64::from(place & 31) * 8) as *const u64;
    // SAFETY: the helper copies, and fails instead of faulting. A plain load is not possible here:
    // the verifier takes only constant offsets into the context.
    unsafe { bpf_probe_read_kernel(address) }.unwrap_or(0)
}

/// The stack pointer.
#[inline(always)]
pub fn stack_pointer(ctx: &ProbeContext) -> u64 {
    regs(ctx).rsp
}

/// The hooked instruction.
#[inline(always)]
pub fn instruction_pointer(ctx: &ProbeContext) -> u64 {
    regs(ctx).rip
}

/// The first argument of the function, at its entry.
#[inline(always)]
pub fn first_argument(ctx: &ProbeContext) -> u64 {
    regs(ctx).rdi
}

/// The value that memory held before a compare-and-exchange, right after it.
#[inline(always)]
pub fn exchanged_old(ctx: &ProbeContext) -> u64 {
    regs(ctx).rax
}

/// Whether a compare-and-exchange took place, right after it.
#[inline(always)]
pub fn exchanged(ctx: &ProbeContext) -> bool {
    regs(ctx).eflags & ZERO_FLAG != 0
}
