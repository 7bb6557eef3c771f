//! Threads that are off the CPU inside of polls.
//!
//! A poll's hooks note for each thread whether it is inside of one. At every switch of the host, two looks
//! into maps tell whether it concerns such a thread; this is why it is armed only where it is asked for.

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use probe_common::{
    loss::Loss,
    record::{
        Blocked, Kind,
        state::{COMPLETE, RUNNING},
    },
};

use crate::{
    emit::{emit_of, lost},
    regs,
};

/// 1 where blocked threads are watched.
#[btf_map]
static WATCH_BLOCKED: Array<u32, 1> = Array::new();

/// The vtables of the runtime's own tasks, whose polls are no work.
#[btf_map]
static RUNTIME: HashMap<u64, u32, 64> = HashMap::new();

/// The outermost poll of each thread that is inside of one.
#[btf_map]
static INSIDE: HashMap<u32, Inside, 16384> = HashMap::new();

/// The threads that are blocked now, by the kernel's address of each: the switch back knows no other name.
#[btf_map]
static OFF: HashMap<u64, Off, 16384> = HashMap::new();

/// A thread's outermost poll.
#[repr(C)]
#[derive(Clone, Copy)]
struct Inside {
    header: u64,
    /// The stack pointer at the entry of `raw::poll`.
    sp: u64,
}

/// A blocked thread. The agent reads it as three words.
#[repr(C)]
#[derive(Clone, Copy)]
struct Off {
    since: u64,
    sp: u64,
    tid: u64,
}

fn is_watched() -> bool {
    WATCH_BLOCKED.get(0).is_some_and(|&watch| watch != 0)
}

/// `raw::poll` was entered. A poll that is left without a word is noted until the thread's next one: that tells
/// the agent too much, not too little, and it knows the frames. One that ends with its thread keeps its place.
#[inline(always)]
pub fn entered(header: u64, vtable: u64, state: u64, sp: u64) {
    if state & (RUNNING | COMPLETE) != 0 || !is_watched() {
        return;
    }
    // SAFETY: only whether it is there is looked at.
    if unsafe { RUNTIME.get(&vtable) }.is_some() {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    match INSIDE.get_ptr_mut(&tid) {
        // SAFETY: in a map's value, which only this thread writes.
        Some(inside) => unsafe {
            // The stack grows down: one that is not above this one has returned.
            if (*inside).sp <= sp || (*inside).header == header {
                *inside = Inside { header, sp };
            }
        },
        None => {
            if INSIDE.insert(&tid, &Inside { header, sp }, 0).is_err() {
                lost(Loss::TooManyBlocked);
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
    let Some(&Off { since, sp, tid }) = (unsafe { OFF.get(&thread) }) else { return };
    let _ = OFF.remove(&thread);
    emit_of((tid as u32, sp), Kind::Blocked, |head| Blocked { head, since });
}

#[inline(always)]
fn goes(preempted: u64, thread: u64, state: u64) {
    // `TASK_RUNNING` is 0: it waits for nothing but a CPU.
    if preempted as u8 != 0 || state as u32 == 0 {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    // SAFETY: the value is read at once, and only this thread writes it.
    if unsafe { INSIDE.get(&tid) }.is_none() {
        return;
    }
    // SAFETY: a helper without preconditions.
    let since = unsafe { bpf_ktime_get_ns() };
    let off = Off { since, sp: regs::user_stack_pointer().unwrap_or(0), tid: u64::from(tid) };
    if OFF.insert(&thread, &off, 0).is_err() {
        lost(Loss::TooManyBlocked);
    }
}
