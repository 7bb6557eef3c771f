//! Threads that are off the CPU inside of polls.
//!
//! A poll's hooks note for each thread whether it is inside of one. At every switch of the host, two looks
//! into maps say whether it concerns such a thread; this is why it is armed only where it is asked for.

use aya_ebpf::{
    bindings::pt_regs,
    btf_maps::{Array, HashMap},
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, generated::bpf_get_current_task},
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use probe_common::{
    loss::Loss,
    record::{
        Kind, LONG_NS, OFF_CPU_STACK_MAX, OffCpu, OffCpuOutside, OffCpuStack, flags,
        state::{COMPLETE, RUNNING},
    },
};

use crate::{
    descriptor::is_targets,
    emit::{emit_of, has_room_for_stacks, lost, output_of},
    regs::{self, Left},
    sample,
};

/// 1 where off-CPU threads are watched.
#[btf_map]
static WATCH_OFF_CPU: Array<u32, 1> = Array::new();

/// The vtables of tasks that are no work or are there to block: [`NO_WORK`], [`NO_STACK`].
#[btf_map]
static RUNTIME: HashMap<u64, u32, 64> = HashMap::new();

/// It is the runtime's own.
const NO_WORK: u32 = 1;

/// The stack of each thread as it was switched out last, inside of a poll. A thread keeps its place.
#[btf_map]
static OFF_CPU_STACKS: HashMap<u32, ScratchBuffer, 256> = HashMap::new();

/// The start value of a new place.
#[btf_map]
static NO_STACK: Array<ScratchBuffer, 1> = Array::new();

/// The pages of a stack that are taken, the one with the stack pointer not counted.
const PAGES: u64 = 3;

/// `TASK_UNINTERRUPTIBLE`: how a thread waits for a lock, or for a page.
/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/sched.h>
const UNINTERRUPTIBLE: u64 = 2;

/// A record as it is put together.
#[repr(C)]
struct ScratchBuffer {
    record: OffCpuStack,
    stack: [u8; OFF_CPU_STACK_MAX],
}

/// The outermost poll of each thread that is inside of one.
#[btf_map]
static INSIDE: HashMap<u32, Inside, 16384> = HashMap::new();

/// The threads that are off the CPU now, by the kernel's address of each: the switch back knows no other name.
#[btf_map]
static OFF: HashMap<u64, Off, 16384> = HashMap::new();

/// A thread's outermost poll.
#[repr(C)]
#[derive(Clone, Copy)]
struct Inside {
    header: u64,
    /// The stack pointer at the entry of `raw::poll`.
    sp: u64,
    /// True if stacks are taken.
    stacks: u64,
}

/// An off-CPU thread. The agent reads it as four words.
#[repr(C)]
#[derive(Clone, Copy)]
struct Off {
    since: u64,
    sp: u64,
    tid: u64,
    /// As in a [`OffCpuOutside`]; else 0.
    outside: u64,
}

fn is_watched() -> bool {
    WATCH_OFF_CPU.get(0).is_some_and(|&watch| watch != 0)
}

/// `raw::poll` was entered. A poll that is left without a word is noted until the thread's next one: that says
/// the agent too much, not too little, and it knows the frames. One that ends with its thread keeps its place.
#[inline(always)]
pub fn entered(header: u64, vtable: u64, state: u64, sp: u64) {
    if state & (RUNNING | COMPLETE) != 0 || !is_watched() {
        return;
    }
    // SAFETY: the value is copied at once, and nobody writes it.
    let what = unsafe { RUNTIME.get(&vtable) }.copied();
    if what == Some(NO_WORK) {
        return;
    }
    is_back();
    let inside = Inside { header, sp, stacks: u64::from(what.is_none()) };
    let tid = bpf_get_current_pid_tgid() as u32;
    match INSIDE.get_ptr_mut(&tid) {
        // SAFETY: in a map's value, which only this thread writes.
        Some(outermost) => unsafe {
            // The stack grows down: one that is not above this one has returned.
            if (*outermost).sp <= sp || (*outermost).header == header {
                *outermost = inside;
            }
        },
        None => {
            if INSIDE.insert(&tid, &inside, 0).is_err() {
                lost(Loss::TooManyOffCpu);
            }
        }
    }
}

/// The task with this header left RUNNING on this thread.
#[inline(always)]
pub fn left(header: u64) {
    leave_if(|inside| inside.header == header);
}

/// `raw::poll` returns at this stack pointer.
#[inline(always)]
pub fn returned(sp: u64) {
    leave_if(|inside| inside.sp <= sp);
}

#[inline(always)]
fn leave_if(is_it: impl Fn(&Inside) -> bool) {
    if !is_watched() {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: in a map's value, which only this thread writes.
    if unsafe { INSIDE.get(&tid) }.is_some_and(is_it) {
        is_back();
        let _ = INSIDE.remove(&tid);
    }
}

/// A CPU goes from one thread to another.
///
/// Arguments: whether the thread that goes is preempted, it, the one that comes, the state of the one that
/// goes as it was when it asked to go: one that a signal kept runnable looks as if it slept, on some kernels.
/// They come in this order where the agent arms it.
/// <https://github.com/torvalds/linux/blob/v6.12/include/trace/events/sched.h>
#[raw_tracepoint(tracepoint = "sched_switch")]
pub fn sched_switch(ctx: RawTracePointContext) -> i32 {
    comes(ctx.arg(2));
    goes(ctx.arg(0), ctx.arg(1), ctx.arg(3));
    0
}

#[inline(always)]
fn comes(thread: u64) {
    // SAFETY: the value is copied at once; it is this thread's own, which is not running.
    let Some(&off) = (unsafe { OFF.get(&thread) }) else { return };
    let _ = OFF.remove(&thread);
    report(off, 0);
}

/// This thread runs. Where it is noted as being off the CPU, the kernel has left out the switch back: some kernels
/// run a tracepoint's programs not at every event.
#[inline(always)]
fn is_back() {
    // SAFETY: a helper without preconditions.
    let thread = unsafe { bpf_get_current_task() };
    // SAFETY: the value is copied at once; it is this thread's own.
    let Some(&off) = (unsafe { OFF.get(&thread) }) else { return };
    let _ = OFF.remove(&thread);
    lost(Loss::OffCpuEndUnseen);
    report(off, flags::END_UNSEEN);
}

#[inline(always)]
fn report(Off { since, sp, tid, outside }: Off, flags: u8) {
    let (tid, of) = (tid as u32, (tid as u32, sp));
    if report_stack(tid, since, flags) {
        return;
    }
    if outside == 0 {
        emit_of(of, Kind::OffCpu, flags, |head| OffCpu { head, since });
    } else {
        emit_of(of, Kind::OffCpuOutside, flags, |head| OffCpuOutside { head, since, outside });
    }
}

/// Reports the stretch together with the stack, if it was long and there is one.
#[inline(always)]
fn report_stack(tid: u32, since: u64, flags: u8) -> bool {
    // SAFETY: a helper without preconditions.
    if unsafe { bpf_ktime_get_ns() }.wrapping_sub(since) < LONG_NS {
        return false;
    }
    let Some(draft) = OFF_CPU_STACKS.get_ptr_mut(&tid) else {
        // SAFETY: the value is copied at once, and only that thread writes it: it has not come back yet, or is this one.
        if unsafe { INSIDE.get(&tid) }.is_some_and(|inside| inside.stacks != 0) {
            lost(Loss::TooManyStacks);
        }
        return false;
    };
    // SAFETY: a helper without preconditions.
    if !has_room_for_stacks(unsafe { bpf_get_smp_processor_id() }) {
        lost(Loss::StackDropped);
        return false;
    }
    // SAFETY: in a map's value, which only that thread writes as it goes: it has not come back yet, or is this one.
    let draft = unsafe { &mut *draft };
    let len = draft.record.stack_len;
    if draft.record.since != since || len == 0 || len > OFF_CPU_STACK_MAX as u64 {
        return false;
    }
    let sp = draft.record.head.sp;
    let size = size_of::<OffCpuStack>() as u32 + len as u32;
    output_of((tid, sp), (Kind::OffCpuStack, flags), size, |head| {
        draft.record.head = head;
        core::ptr::from_ref(draft).cast()
    });
    true
}

/// Keeps the registers and the stack of this thread, which is about to be switched out.
#[inline(always)]
fn keep_stack(tid: u32, since: u64, outside: u64) {
    let draft = OFF_CPU_STACKS.get_ptr_mut(&tid).or_else(|| {
        OFF_CPU_STACKS.insert(&tid, NO_STACK.get(0)?, 0).ok()?;
        OFF_CPU_STACKS.get_ptr_mut(&tid)
    });
    let (Some(draft), Some(registers)) = (draft, regs::in_user_space()) else { return };
    // SAFETY: in a map's value, which only this thread writes.
    let draft = unsafe { &mut *draft };
    let pt_regs { rip, rbp, rbx, r12, r13, r14, r15, rsp, .. } = registers;
    draft.record.head.sp = rsp;
    (draft.record.since, draft.record.outside) = (since, outside);
    (draft.record.ip, draft.record.bp, draft.record.bx) = (rip, rbp, rbx);
    draft.record.r = [r12, r13, r14, r15];
    draft.record.stack_len = sample::stack(&mut draft.stack, rsp, PAGES) as u64;
}

#[inline(always)]
fn goes(preempted: u64, thread: u64, state: u64) {
    // `TASK_RUNNING` is 0: it waits for nothing but a CPU.
    if preempted as u8 != 0 || state as u32 == 0 {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the value is copied at once, and only this thread writes it.
    let Some(&Inside { stacks, .. }) = (unsafe { INSIDE.get(&tid) }) else { return };
    // The number of a thread that ended inside of a poll may be another process's by now.
    if !is_targets() {
        let _ = INSIDE.remove(&tid);
        return;
    }
    is_back();
    // SAFETY: a helper without preconditions.
    let since = unsafe { bpf_ktime_get_ns() };
    let Left { sp, outside } = regs::left_user_space().unwrap_or(Left { sp: 0, outside: 0 });
    // A thread that a signal stops is in nobody's trap, wherever it is.
    let outside = if state & UNINTERRUPTIBLE == 0 { 0 } else { outside };
    let off = Off { since, sp, tid: u64::from(tid), outside };
    if OFF.insert(&thread, &off, 0).is_err() {
        return lost(Loss::TooManyOffCpu);
    }
    if stacks != 0 {
        keep_stack(tid, since, outside);
    }
}
