//! Samples: what a thread of the target does when a sampling event fires. No instruction of the target is hooked.

use aya_ebpf::{
    bindings::pt_regs,
    btf_maps::Array,
    helpers::{bpf_get_smp_processor_id, bpf_probe_read_user_buf},
    macros::{btf_map, perf_event},
    programs::PerfEventContext,
};
use probe_common::{
    loss::Loss,
    record::{Kind, STACK_MAX, Sample, flags},
};

use crate::{
    descriptor::is_targets,
    emit::{has_room_for_stacks, lost, output},
    regs::{self, StackPointer},
    running,
};

const PAGE: usize = 4096;

/// The buffer in which a CPU puts a sample together: the clock's interrupt does not interrupt itself.
#[repr(C)]
struct ScratchBuffer {
    sample: Sample,
    stack: [u8; STACK_MAX],
}

/// By CPU. The agent sets how many.
#[btf_map]
static SAMPLE_DRAFTS: Array<ScratchBuffer, 1> = Array::new();

/// Runs when a sampling event fires on a CPU.
#[perf_event]
pub fn sample(ctx: PerfEventContext) -> u32 {
    if is_targets() {
        take(&ctx);
    }
    0
}

#[inline(always)]
fn take(ctx: &PerfEventContext) {
    let Some(registers) = regs::in_user_space() else { return lost(Loss::RegistersUnreadable) };
    // SAFETY: a helper without preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    if !has_room_for_stacks(cpu) {
        return lost(Loss::StackDropped);
    }
    let Some(draft) = SAMPLE_DRAFTS.get_ptr_mut(cpu) else { return lost(Loss::StackDropped) };
    // SAFETY: a map's value outlives the program's run, and this CPU alone uses this one.
    let draft = unsafe { &mut *draft };
    let mut flags = if regs::is_in_kernel(ctx) { flags::IN_KERNEL } else { 0 };
    let id = running::task().unwrap_or_else(|| {
        flags |= flags::ID_UNREADABLE;
        lost(Loss::RunningUnreadable);
        0
    });
    let pages = running::sampling().map_or(0, |sampling| sampling.stack_pages);
    let len = stack(&mut draft.stack, registers.rsp, pages);
    if len == 0 {
        lost(Loss::StackUnreadable);
    }
    let size = size_of::<Sample>() as u32 + len as u32;
    output(&StackPointer(registers.rsp), Kind::Sample, size, |mut head| {
        head.flags = flags;
        let pt_regs { rip, rbp, rbx, r12, r13, r14, r15, .. } = registers;
        draft.sample =
            Sample { head, id, ip: rip, bp: rbp, bx: rbx, r: [r12, r13, r14, r15], stack_len: len as u64, zero: 0 };
        core::ptr::from_ref(draft).cast()
    });
}

/// Copies the stack, page by page as far as it can be read: the one that the stack pointer is in, and so many
/// more. How many bytes.
#[inline(always)]
pub fn stack<const MAX: usize>(to: &mut [u8; MAX], sp: u64, pages: u64) -> usize {
    let first = PAGE - (sp as usize & (PAGE - 1));
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    if unsafe { bpf_probe_read_user_buf(sp as *const u8, &mut to[..first]) }.is_err() {
        return 0;
    }
    let mut len = first;
    for page in 0..(MAX / PAGE) as u64 - 1 {
        if page >= pages || len > MAX - PAGE {
            break;
        }
        // SAFETY: as above.
        if unsafe { bpf_probe_read_user_buf((sp + len as u64) as *const u8, &mut to[len..len + PAGE]) }.is_err() {
            break;
        }
        len += PAGE;
    }
    len
}
