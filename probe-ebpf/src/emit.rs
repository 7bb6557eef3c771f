//! Writing records: a number, a clock, a ring buffer for each CPU.

use aya_ebpf::{
    btf_maps::{ArrayOfMaps, PerCpuArray, RingBuf},
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_ringbuf_output, bpf_ringbuf_query,
    },
    macros::btf_map,
    programs::ProbeContext,
};
use aya_log_ebpf::debug;
use probe_common::{
    loss::Loss,
    record::{Head, Kind},
};

use crate::regs::{self, Interrupted};

/// One ring buffer for each CPU, so that CPUs never wait for each other's lock. The agent makes them.
#[btf_map]
static RINGS: ArrayOfMaps<RingBuf<u8, 4096>, 1024> = ArrayOfMaps::new();

/// The number of records that each CPU has tried to write.
#[btf_map]
static ATTEMPTS: PerCpuArray<u64, 1> = PerCpuArray::new();

/// The number of times that each [`Loss`] happened.
#[btf_map]
static LOST: PerCpuArray<u64, { Loss::ALL.len() }> = PerCpuArray::new();

/// The agent drains on a timer: a wake-up would be paid by the target's thread.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L6207>
const NO_WAKEUP: u64 = 1;

/// Counts a loss.
#[inline(always)]
pub fn lost(loss: Loss) {
    if let Some(count) = LOST.get_ptr_mut(loss as u32) {
        add(count);
    }
}

/// Takes a number for an event that must be missed, so that the hole shows.
#[inline(always)]
pub fn missed(ctx: &ProbeContext, header: u64, loss: Loss) {
    // Off unless the agent asks for it; the level is checked before anything is written.
    debug!(ctx, "missed: loss {} at header {:x}, ip {:x}", loss as u32, header, regs::instruction_pointer(ctx));
    if loss.leaves_gap()
        && let Some(attempts) = ATTEMPTS.get_ptr_mut(0)
    {
        add(attempts);
    }
    lost(loss);
}

/// The next record's head: its number first, then the clock. The agent relies on that order.
#[inline(always)]
fn head(thread: &impl Interrupted, kind: Kind, flags: u8) -> Option<Head> {
    head_of(kind, flags, (bpf_get_current_pid_tgid() as u32, thread.stack_pointer()))
}

/// Writes a record of this thread with this stack pointer.
#[inline(always)]
fn head_of(kind: Kind, flags: u8, (tid, sp): (u32, u64)) -> Option<Head> {
    let seq = add(ATTEMPTS.get_ptr_mut(0)?);
    Some(Head {
        // SAFETY: a helper without preconditions.
        time: unsafe { bpf_ktime_get_ns() },
        seq,
        sp,
        tid,
        // SAFETY: a helper without preconditions.
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        kind: kind as u8,
        flags,
    })
}

/// Writes the record that `fill` makes of the head.
#[inline(always)]
pub fn emit<R: 'static>(thread: &impl Interrupted, kind: Kind, flags: u8, fill: impl FnOnce(Head) -> R) {
    let Some(head) = head(thread, kind, flags) else { return };
    write(head, fill);
}

/// Writes one about another thread than the current one: its number and its stack pointer.
#[inline(always)]
pub fn emit_of<R: 'static>(thread: (u32, u64), kind: Kind, flags: u8, fill: impl FnOnce(Head) -> R) {
    let Some(head) = head_of(kind, flags, thread) else { return };
    write(head, fill);
}

#[inline(always)]
fn write<R: 'static>(head: Head, fill: impl FnOnce(Head) -> R) {
    let Some(ring) = RINGS.get(u32::from(head.cpu)) else { return lost(Loss::NoRing) };
    match ring.reserve_untyped::<R>(0) {
        Some(mut slot) => {
            slot.write(fill(head));
            slot.submit(NO_WAKEUP);
        }
        None => lost(Loss::RingFull),
    }
}

/// Writes a large record, which `fill` writes where it will be; returns `true` if it was written.
#[inline(always)]
pub fn emit_in_place<R: 'static>(thread: &impl Interrupted, kind: Kind, fill: impl FnOnce(Head, *mut R)) -> bool {
    let Some(head) = head(thread, kind, 0) else { return false };
    let Some(ring) = RINGS.get(u32::from(head.cpu)) else {
        lost(Loss::NoRing);
        return false;
    };
    match ring.reserve_untyped::<R>(0) {
        Some(mut slot) => {
            fill(head, slot.as_mut_ptr());
            slot.submit(NO_WAKEUP);
            true
        }
        None => {
            lost(Loss::RingFull);
            false
        }
    }
}

/// Writes a record of this length, whose bytes start where `fill` has put the head.
#[inline(always)]
pub fn output(thread: &impl Interrupted, kind: Kind, len: u32, fill: impl FnOnce(Head) -> *const u8) {
    let Some(head) = head(thread, kind, 0) else { return };
    write_bytes(head, len, fill);
}

/// Writes one about another thread than the current one: its number and its stack pointer.
#[inline(always)]
pub fn output_of(thread: (u32, u64), (kind, flags): (Kind, u8), len: u32, fill: impl FnOnce(Head) -> *const u8) {
    let Some(head) = head_of(kind, flags, thread) else { return };
    write_bytes(head, len, fill);
}

#[inline(always)]
fn write_bytes(head: Head, len: u32, fill: impl FnOnce(Head) -> *const u8) {
    let Some(ring) = RINGS.get(u32::from(head.cpu)) else { return lost(Loss::NoRing) };
    let bytes = fill(head).cast_mut();
    // SAFETY: the caller's bytes are in a map's value, and not fewer than `len`.
    let full = unsafe {
        bpf_ringbuf_output(core::ptr::from_ref(ring).cast_mut().cast(), bytes.cast(), u64::from(len), NO_WAKEUP)
    } < 0;
    if full {
        lost(Loss::RingFull);
    }
}

/// Returns `true` if less than half of the CPU's ring is taken. What holds a stack is large and stops there, so that it
/// never takes the room of the events that say who spawned whom.
#[inline(always)]
pub fn has_room_for_stacks(cpu: u32) -> bool {
    // What `BPF_RB_AVAIL_DATA` and `BPF_RB_RING_SIZE` ask for.
    // <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L6212>
    const TAKEN: u64 = 0;
    const SIZE: u64 = 1;
    let Some(ring) = RINGS.get(cpu) else { return false };
    let ring = core::ptr::from_ref(ring).cast_mut().cast();
    // SAFETY: the map that was found is a ring buffer.
    let (taken, size) = unsafe { (bpf_ringbuf_query(ring, TAKEN), bpf_ringbuf_query(ring, SIZE)) };
    taken < size / 2
}

/// Adds one, and returns what was there: another program may interrupt this one on the same CPU.
///
/// Not `Relaxed`: LLVM 22 turns that into an addition that leaves the old value out.
#[inline(always)]
pub fn add(count: *mut u64) -> u64 {
    // SAFETY: `count` points into a map's value, which outlives the program's run.
    unsafe { core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::AcqRel }>(count, 1) }
}

/// Takes one away.
#[inline(always)]
pub fn take(count: *mut u64) {
    // SAFETY: as for [`add`].
    unsafe { core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::AcqRel }>(count, u64::MAX) };
}
