//! Registers of the interrupted thread, as x86-64 has them.

use aya_ebpf::{
    EbpfContext as _,
    bindings::pt_regs,
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
    },
    programs::{PerfEventContext, ProbeContext},
};

const ZERO_FLAG: u64 = 1 << 6;

/// A thread that was interrupted, whose record this will be.
pub trait Interrupted {
    /// Its stack pointer in user space.
    fn stack_pointer(&self) -> u64;
}

impl Interrupted for ProbeContext {
    #[inline(always)]
    fn stack_pointer(&self) -> u64 {
        regs(self).rsp
    }
}

/// A thread of which only the stack pointer matters.
pub struct StackPointer(pub u64);

impl Interrupted for StackPointer {
    #[inline(always)]
    fn stack_pointer(&self) -> u64 {
        self.0
    }
}

fn regs(ctx: &ProbeContext) -> &pt_regs {
    // SAFETY: the context of a uprobe program is the interrupted thread's `pt_regs`.
    unsafe { &*ctx.as_ptr().cast::<pt_regs>() }
}

/// The register at this place (in words) of `pt_regs`; 0 of one that holds no operand.
///
/// The verifier takes only constant offsets into the context, and a helper that copies takes longer than a few
/// comparisons.
#[inline(always)]
pub fn word(ctx: &ProbeContext, place: u8) -> u64 {
    let regs = regs(ctx);
    match place {
        0 => regs.r15,
        1 => regs.r14,
        2 => regs.r13,
        3 => regs.r12,
        4 => regs.rbp,
        5 => regs.rbx,
        6 => regs.r11,
        7 => regs.r10,
        8 => regs.r9,
        9 => regs.r8,
        10 => regs.rax,
        11 => regs.rcx,
        12 => regs.rdx,
        13 => regs.rsi,
        14 => regs.rdi,
        19 => regs.rsp,
        _ => 0,
    }
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

/// Returns the result of a system call, right after it.
#[inline(always)]
pub fn returned(ctx: &ProbeContext) -> i64 {
    regs(ctx).rax as i64
}

/// A system call's first four arguments, right after it: the kernel preserves their registers.
#[inline(always)]
pub fn call_arguments(ctx: &ProbeContext) -> [u64; 4] {
    let regs = regs(ctx);
    [regs.rdi, regs.rsi, regs.rdx, regs.r10]
}

/// The value that memory held before a compare-and-exchange, right after it.
#[inline(always)]
pub fn exchanged_old(ctx: &ProbeContext) -> u64 {
    regs(ctx).rax
}

/// Returns `true` if a compare-and-exchange took place, right after it.
#[inline(always)]
pub fn exchanged(ctx: &ProbeContext) -> bool {
    regs(ctx).eflags & ZERO_FLAG != 0
}

/// The number of the system call whose `pt_regs` these are, in the kernel's memory.
#[inline(always)]
pub fn number(registers: u64) -> Option<u64> {
    let registers = registers as *const pt_regs;
    // SAFETY: the helper copies, and fails instead of faulting.
    unsafe { bpf_probe_read_kernel(&raw const (*registers).orig_rax) }.ok()
}

/// The thread that makes this system call, and the call's first four arguments.
#[inline(always)]
pub fn caller(registers: u64) -> Option<(StackPointer, [u64; 4])> {
    let registers = registers as *const pt_regs;
    // SAFETY: the helper copies, and fails instead of faulting.
    let read = |word: *const u64| unsafe { bpf_probe_read_kernel(word) }.ok();
    // SAFETY: the fields' addresses are computed, and not read.
    let (first, second, third, fourth, stack) = unsafe {
        (
            &raw const (*registers).rdi,
            &raw const (*registers).rsi,
            &raw const (*registers).rdx,
            &raw const (*registers).r10,
            &raw const (*registers).rsp,
        )
    };
    Some((StackPointer(read(stack)?), [read(first)?, read(second)?, read(third)?, read(fourth)?]))
}

/// This thread's registers as it left user space, by an interrupt or a system call.
#[inline(always)]
pub fn in_user_space() -> Option<pt_regs> {
    // SAFETY: helpers without preconditions; the copy fails instead of faulting.
    unsafe { bpf_probe_read_kernel(bpf_task_pt_regs(bpf_get_current_task_btf()) as *const pt_regs) }.ok()
}

/// The registers with which a thread left user space.
#[derive(Clone, Copy)]
pub struct Left {
    /// Its stack pointer.
    pub sp: u64,
    /// Its instruction pointer, if it was no system call by which it left; else 0.
    pub outside: u64,
}

/// Returns the registers with which this thread left user space.
#[inline(always)]
pub fn left_user_space() -> Option<Left> {
    // SAFETY: helpers without preconditions; the copy fails instead of faulting, and the five registers stand in
    // this order, without anything between them.
    let read = unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const pt_regs;
        bpf_probe_read_kernel((&raw const (*registers).orig_rax).cast::<[u64; 5]>())
    };
    let [orig_rax, rip, _cs, _eflags, sp] = read.ok()?;
    Some(Left { sp, outside: outside(orig_rax, rip) })
}

/// The instruction pointer; 0 in a system call. Faults, traps and interrupts have no number of a call: they set it
/// to -1, in `idtentry_body` and before.
/// <https://github.com/torvalds/linux/blob/v6.12/arch/x86/entry/entry_64.S>
#[inline(always)]
fn outside(orig_rax: u64, rip: u64) -> u64 {
    if (orig_rax as i64) < 0 { rip } else { 0 }
}

/// Returns `true` if the event interrupted the kernel.
#[inline(always)]
pub fn is_in_kernel(ctx: &PerfEventContext) -> bool {
    const USER: u64 = 3;
    // SAFETY: the context of a perf event's program starts with the interrupted registers.
    let cs = unsafe { (*ctx.as_ptr().cast::<pt_regs>()).cs };
    cs & USER == 0
}
