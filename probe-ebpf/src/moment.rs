//! What a thread is in the middle of that no frame says: a driver's turn, and what follows the completion of a task.
//!
//! A task that completes leaves RUNNING first; then, still inside `raw::poll`, an output that nobody is to read is
//! dropped, or the waker of its `JoinHandle` is used:
//! <https://github.com/tokio-rs/tokio/blob/tokio-1.47.1/tokio/src/runtime/task/harness.rs#L331-L386>. Whether that goes on is proved
//! where it matters, at a wake or a spawn, by what tokio keeps.

use aya_ebpf::{btf_maps::LruHashMap, helpers::bpf_get_current_pid_tgid, macros::btf_map};
use probe_common::{
    config::Driver,
    loss::Loss,
    record::{
        Task, flags,
        state::{COMPLETE, JOIN_INTEREST, JOIN_WAKER},
    },
};

use crate::{emit::lost, running, target};

/// By thread. One that found no room, or had to leave, says nothing: the agent takes that for not known.
#[btf_map]
static MOMENTS: LruHashMap<u32, Moment, 16384> = LruHashMap::new();

/// The work that a thread is in the middle of.
#[repr(C)]
#[derive(Clone, Copy)]
struct Moment {
    /// The way in which the completion goes on that began last, or [`NOTHING`].
    stage: u64,
    /// The task that completed.
    task: Task,
    /// The task that the thread ran around that one, as tokio's `CONTEXT` reports; 0: none.
    outer: u64,
    /// True if one that began before may go on around it.
    nested: u64,
    /// The stack pointer at the entry of a driver's turn; 0: there is none.
    turn: u64,
    /// The return address there.
    back: u64,
    /// The driver whose turn it is.
    driver: u64,
}

/// No completion is under way.
const NOTHING: u64 = 0;
/// The output is dropped, with the task's id in tokio's `CONTEXT`.
const DROPS: u64 = 1;
/// The `JoinHandle`'s waker is used; JOIN_WAKER is unset right after.
const WAKES: u64 = 2;
/// There is no telling when it is over.
const UNPROVED: u64 = 3;

const NONE: Moment = Moment {
    stage: NOTHING,
    task: Task { header: 0, id: 0, vtable: 0 },
    outer: 0,
    nested: 0,
    turn: 0,
    back: 0,
    driver: 0,
};

/// A driver's turn that a wake lies in.
#[derive(Clone, Copy)]
pub struct Turn {
    /// The stack pointer at its entry.
    pub sp: u64,
    /// Its [`Driver`].
    pub driver: u64,
}

#[inline(always)]
fn known() -> Option<&'static mut Moment> {
    let thread = bpf_get_current_pid_tgid() as u32;
    // SAFETY: in a map's value, which only this thread writes.
    MOMENTS.get_ptr_mut(&thread).map(|moment| unsafe { &mut *moment })
}

/// The thread's own, which begins with the first thing that is to be noted.
#[inline(always)]
fn noted() -> Option<&'static mut Moment> {
    if let Some(known) = known() {
        return Some(known);
    }
    let thread = bpf_get_current_pid_tgid() as u32;
    if MOMENTS.insert(&thread, &NONE, 0).is_err() {
        lost(Loss::TooManyThreads);
    }
    known()
}

/// The task has completed on this thread. `unsets`: JOIN_WAKER is unset once the waker was used.
#[inline(always)]
pub fn completed(task: Task, new: u64, unsets: bool) {
    if running::is_wanted() {
        return; // of a sampled run, whose wakes are not seen
    }
    let stage = match new & (JOIN_INTEREST | JOIN_WAKER) {
        // Somebody may read the output, and nobody waits for it.
        JOIN_INTEREST => return,
        bits if bits & JOIN_INTEREST == 0 && running::is_known() => DROPS,
        bits if bits & JOIN_INTEREST != 0 && unsets => WAKES,
        _ => UNPROVED,
    };
    let Some(moment) = noted() else { return };
    moment.nested = u64::from(matches!(goes_on(moment), Some(true) | None));
    let outer = if stage == DROPS { running::task() } else { Some(0) };
    (moment.stage, moment.outer) = outer.map_or((UNPROVED, 0), |outer| (stage, outer));
    moment.task = task;
}

/// The flags of a wake or a spawn on this thread, and the turn that it may lie in.
#[inline(always)]
pub fn now(sp: u64) -> (u8, Option<Turn>) {
    let Some(moment) = known() else { return (0, None) };
    // A turn that has returned is noted where it returns to; this is for the case that a program did not run there.
    if moment.turn != 0 && (moment.turn <= sp || target::read(moment.turn) != Some(moment.back)) {
        moment.turn = 0;
    }
    let turn = (moment.turn != 0).then_some(Turn { sp: moment.turn, driver: moment.driver });
    let flags = match goes_on(moment) {
        Some(true) => flags::COMPLETING,
        Some(false) if moment.nested == 0 => {
            moment.stage = NOTHING;
            flags::COMPLETED
        }
        Some(false) => {
            moment.stage = UNPROVED;
            0
        }
        None => 0,
    };
    (flags, turn)
}

/// Returns `true` if what follows the completion that began last goes on; `None`: that cannot be known.
#[inline(always)]
fn goes_on(moment: &Moment) -> Option<bool> {
    match moment.stage {
        NOTHING => Some(false),
        DROPS => match running::task() {
            Some(id) if id == moment.task.id => Some(true),
            Some(id) if id == moment.outer => Some(false),
            _ => None, // a poll, which may lie in it
        },
        WAKES => Some(is_waking(moment.task)),
        _ => None,
    }
}

/// The header is this task's as long as its poll has not given its own reference away, and that comes after.
#[inline(always)]
fn is_waking(task: Task) -> bool {
    match target::task(task.header) {
        Ok((now, state)) => {
            let same = now.id == task.id && now.vtable == task.vtable;
            same && state & (COMPLETE | JOIN_WAKER) == COMPLETE | JOIN_WAKER
        }
        Err(_) => false,
    }
}

/// The task's `JoinHandle` was woken: the completion is over.
#[inline(always)]
pub fn woke(header: u64) {
    if let Some(moment) = known()
        && moment.stage == WAKES
        && moment.task.header == header
    {
        moment.stage = if moment.nested == 0 { NOTHING } else { UNPROVED };
    }
}

/// A panic leaves functions without a word.
#[inline(always)]
pub fn panicked() {
    if let Some(moment) = known() {
        moment.turn = 0;
        if moment.stage != NOTHING {
            moment.stage = UNPROVED;
        }
    }
}

/// A driver's turn begins.
#[inline(always)]
pub fn turn_begins(sp: u64, driver: Driver) {
    if let (Some(moment), Some(back)) = (noted(), target::read(sp)) {
        (moment.turn, moment.back, moment.driver) = (sp, back, driver as u64);
    }
}

/// The stack shows that a turn has returned, if there was one.
#[inline(always)]
pub fn turn_ends(sp: u64) {
    if let Some(moment) = known()
        && moment.turn < sp
    {
        moment.turn = 0;
    }
}
