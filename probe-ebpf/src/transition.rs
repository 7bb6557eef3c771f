//! Hooks on transitions of a task's state word.
//!
//! The word changes only by compare-and-exchange, so the instruction after one sees the transition
//! itself: no state is guessed, and no race is left between a look and the change.

use aya_ebpf::{EbpfContext as _, helpers::bpf_get_attach_cookie, macros::uprobe, programs::ProbeContext};
use probe_common::{
    config::{EntryCookie, TransitionCookie, TransitionEvent},
    record::{
        Abort, Kind, PollEnd, Task, Wake, WakeInTurn, flags,
        state::{CANCELLED, COMPLETE, JOIN_WAKER, NOTIFIED, RUNNING},
    },
};

use crate::{
    emit::{emit, missed},
    moment::{self, Turn},
    off_cpu,
    regs::{self, Interrupted as _},
    stack, target,
};

/// After a `lock cmpxchg` on a task's state word; see [`TransitionCookie`].
#[uprobe]
pub fn transition(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    if !regs::exchanged(&ctx) {
        return 0; // lost the race, and will try again
    }
    // SAFETY: the context is this program's own.
    let cookie = TransitionCookie::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    let header = regs::word(&ctx, cookie.header);
    let (old, new) = (regs::exchanged_old(&ctx), regs::word(&ctx, cookie.new));
    match cookie.watch {
        TransitionEvent::PollEnd | TransitionEvent::TaskEnd => poll_end(&ctx, header, old, new, cookie.unsets_waker),
        TransitionEvent::Wake => {
            let caller = match cookie.caller {
                Some(offset) => target::read(ctx.stack_pointer() + u64::from(offset)).unwrap_or(0),
                None => 0,
            };
            wake(&ctx, header, old, new, caller, 0);
        }
        TransitionEvent::Abort => abort(&ctx, header, old, new, 0),
    }
    0
}

/// At the entry of a function that makes a transition; see [`EntryCookie`].
#[uprobe]
pub fn transition_entry(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    const WAKE: u64 = EntryCookie::Wake as u64;
    const IDLE: u64 = EntryCookie::Idle as u64;
    const COMPLETE_: u64 = EntryCookie::Complete as u64;
    const COMPLETE_UNSETS: u64 = EntryCookie::CompleteUnsets as u64;
    // SAFETY: the context is this program's own.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let header = regs::first_argument(&ctx);
    let Some(old) = target::read(header) else { return 0 };
    match cookie {
        // A cancelled task stays RUNNING here, and is torn down before it completes.
        IDLE if old & CANCELLED != 0 => {}
        IDLE => poll_end(&ctx, header, old, old & !RUNNING, false),
        COMPLETE_ | COMPLETE_UNSETS => {
            poll_end(&ctx, header, old, old ^ (RUNNING | COMPLETE), cookie == COMPLETE_UNSETS);
        }
        WAKE => {
            let caller = target::read(ctx.stack_pointer()).unwrap_or(0);
            let notified = if old & COMPLETE == 0 { NOTIFIED } else { 0 };
            wake(&ctx, header, old, old | notified, caller, flags::PREDICTED);
        }
        _ => abort(&ctx, header, old, old | CANCELLED | NOTIFIED, flags::PREDICTED),
    }
    0
}

#[inline(always)]
fn poll_end(ctx: &ProbeContext, header: u64, old: u64, new: u64, unsets_waker: bool) {
    if old & (COMPLETE | JOIN_WAKER) == COMPLETE | JOIN_WAKER && new & JOIN_WAKER == 0 {
        return moment::woke(header);
    }
    if old & RUNNING == 0 || new & RUNNING != 0 {
        return;
    }
    off_cpu::left(header);
    // Once idle, the task may be polled or freed by another thread at any moment. The agent knows
    // it by its header, from the poll's start on this thread.
    let task = if new & COMPLETE != 0 { target::task(header).ok() } else { None };
    let task = match task {
        Some((task, _)) => {
            moment::completed(task, new, unsets_waker);
            task
        }
        None => Task { header, id: 0, vtable: 0 },
    };
    emit(ctx, Kind::PollEnd, 0, |head| PollEnd { head, task, old, new });
}

#[inline(always)]
fn wake(ctx: &ProbeContext, header: u64, old: u64, new: u64, caller: u64, known: u8) {
    let task = match target::task(header) {
        Ok((task, _)) => task,
        Err(loss) => return missed(ctx, header, loss),
    };
    // A wake that makes nothing ready has given its reference away, or was by reference.
    let made_ready = old & (RUNNING | COMPLETE | NOTIFIED) == 0;
    let owned = made_ready || known & flags::PREDICTED != 0;
    let flags = if owned { known } else { known | flags::UNOWNED };
    let (completion, turn) = moment::now(ctx.stack_pointer());
    match turn {
        None => emit(ctx, Kind::Wake, flags | completion, |head| Wake { head, task, old, new, caller }),
        Some(Turn { sp, driver }) => emit(ctx, Kind::WakeInTurn, flags | completion, |head| WakeInTurn {
            head,
            task,
            old,
            new,
            caller,
            turn: sp,
            driver,
        }),
    }
}

#[inline(always)]
fn abort(ctx: &ProbeContext, header: u64, old: u64, new: u64, flags: u8) {
    if old & CANCELLED != 0 || old & COMPLETE != 0 || new & CANCELLED == 0 {
        return;
    }
    match target::task(header) {
        Ok((task, _)) => emit(ctx, Kind::Abort, flags, |head| Abort { head, task, old, new }),
        Err(loss) => missed(ctx, header, loss),
    }
}
