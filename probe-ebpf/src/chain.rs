//! What a task awaits: a walk over its future, by layouts that were handed down.
//!
//! The walk knows no type. Each of its steps takes one edge, and there are only so many; what does not fit is
//! counted as a loss.

use core::ffi::c_void;

use aya_ebpf::{
    btf_maps::{Array, HashMap, PerCpuArray},
    helpers::generated::bpf_probe_read_user,
    macros::btf_map,
    programs::ProbeContext,
};
use probe_common::{
    chain::{Edge, FRAME_BITS, HASH_START, Layout, NONE, Step, VARIANTS_MAX, Variant, hash},
    loss::Loss,
    record::{
        Awaited, FRAMES_MAX, Frames, Kind, Task,
        state::{CANCELLED, COMPLETE, NOTIFIED, RUNNING},
    },
};

use crate::{
    emit::{add, emit, emit_in_place, lost, take},
    target,
};

// The agent gives these their sizes.
#[btf_map]
static LAYOUTS: Array<Layout, 1> = Array::new();
#[btf_map]
static VARIANTS: Array<Variant, 1> = Array::new();
#[btf_map]
static EDGES: Array<Edge, 1> = Array::new();
/// The layout of a task, by its vtable.
#[btf_map]
static TASKS: HashMap<u64, u32, 4096> = HashMap::new();
/// The layout of a boxed future, by its vtable.
#[btf_map]
static BOXED: HashMap<u64, u32, 65536> = HashMap::new();
/// The chains whose frames were reported.
#[btf_map]
static REPORTED: HashMap<u64, u8, 65536> = HashMap::new();
/// Each CPU's walk.
#[btf_map]
static WALK: PerCpuArray<Walk, 1> = PerCpuArray::new();

/// Edges taken at most.
const STEPS_MAX: u32 = 160;
const NESTED_MAX: u32 = 32;

/// A value some of whose edges are still to be taken.
#[repr(C)]
struct Cursor {
    address: u64,
    next: u32,
    end: u32,
    depth: u32,
    padding: u32,
}

#[repr(C)]
struct Walk {
    /// More than one: another thread's program has interrupted this one on its CPU.
    users: u64,
    hash: u64,
    failed: u32,
    partial: u32,
    nested: u32,
    count: u32,
    stack: [Cursor; NESTED_MAX as usize],
    frames: [u32; 64],
}

/// The verdict of a step: go on, or not.
const ON: u32 = 0;
const STOP: u32 = 1;

const FINE: u32 = 0;
const UNREADABLE: u32 = 1;
const TOO_LONG: u32 = 2;

/// Reports what a task awaited that is about to be polled with this state word.
#[inline(always)]
pub fn awaited(ctx: &ProbeContext, task: Task, state: u64) {
    // SAFETY: the value is copied at once, and the agent never changes the map while hooks are armed.
    let Some(&layout) = (unsafe { TASKS.get(&task.vtable) }) else { return };
    if !is_at_rest(state) {
        return;
    }
    let Some(walk) = WALK.get_ptr_mut(0) else { return };
    // SAFETY: `walk` points into a map's value, which outlives the program's run.
    let users = unsafe { &raw mut (*walk).users };
    if add(users) == 0 {
        // SAFETY: this CPU's only user.
        report(ctx, task, layout, unsafe { &mut *walk });
    } else {
        lost(Loss::ChainTorn);
    }
    take(users);
}

fn is_at_rest(state: u64) -> bool {
    state & (NOTIFIED | RUNNING | COMPLETE | CANCELLED) == NOTIFIED
}

#[inline(always)]
fn report(ctx: &ProbeContext, task: Task, layout: u32, walk: &mut Walk) {
    (walk.hash, walk.failed, walk.partial) = (HASH_START, FINE, 0);
    (walk.nested, walk.count) = (0, 0);
    enter(walk, layout, task.header, 0);
    for _ in 0..STEPS_MAX {
        if step(walk) == STOP {
            break;
        }
    }
    match walk.failed {
        FINE if walk.nested > 0 => return lost(Loss::ChainTooLong),
        FINE => {}
        UNREADABLE => return lost(Loss::ChainUnreadable),
        _ => return lost(Loss::ChainTooLong),
    }
    if !target::read(task.header).is_some_and(is_at_rest) {
        return lost(Loss::ChainTorn);
    }
    let chain = walk.hash;
    // SAFETY: the value is not looked at.
    if unsafe { REPORTED.get(&chain) }.is_none() && report_frames(ctx, walk) {
        // Where there is no room, the frames are reported again.
        let _ = REPORTED.insert(&chain, 1, 0);
    }
    emit(ctx, Kind::Awaited, 0, |head| Awaited { head, task, chain });
}

#[inline(always)]
fn report_frames(ctx: &ProbeContext, walk: &Walk) -> bool {
    emit_in_place(ctx, Kind::Frames, |head, to: *mut Frames| {
        // SAFETY: `to` points to room for the record, of which each field is written.
        unsafe {
            (&raw mut (*to).head).write(head);
            (&raw mut (*to).chain).write(walk.hash);
            (&raw mut (*to).count).write(walk.count);
            (&raw mut (*to).partial).write(walk.partial);
            for at in 0..FRAMES_MAX {
                let frame = if (at as u32) < walk.count { walk.frames[at] } else { 0 };
                (&raw mut (*to).frames[at]).write(frame);
            }
        }
    })
}

/// Takes the next edge of the innermost value.
#[inline(always)]
fn step(walk: &mut Walk) -> u32 {
    let nested = walk.nested;
    if nested == 0 {
        return STOP;
    }
    let cursor = &mut walk.stack[(nested.wrapping_sub(1) & (NESTED_MAX - 1)) as usize];
    let (edge, address, depth) = (cursor.next, cursor.address, cursor.depth);
    cursor.next = edge + 1;
    // A value whose last edge is taken gives up its place: most have one, and chains of them are long.
    if cursor.next >= cursor.end {
        walk.nested = nested - 1;
    }
    let Some(edge) = EDGES.get(edge) else { return fail(walk, UNREADABLE) };
    follow(walk, edge, address, depth)
}

#[inline(always)]
fn fail(walk: &mut Walk, why: u32) -> u32 {
    walk.failed = why;
    STOP
}

#[inline(always)]
fn follow(walk: &mut Walk, edge: &Edge, address: u64, depth: u32) -> u32 {
    const INSIDE: u32 = Step::Inside as u32;
    const POINTER: u32 = Step::Pointer as u32;
    const BOXED_: u32 = Step::Boxed as u32;
    if edge.unless != NONE {
        let bits = target::read(address.wrapping_add(edge.unless.into()));
        let byte = bits.and_then(|bits| number(bits.wrapping_add(u64::from(edge.bit >> 3)), 1));
        match byte {
            Some(byte) if (byte >> (edge.bit & 7)) & 1 == 1 => return ON,
            Some(_) => {}
            None => return fail(walk, UNREADABLE),
        }
    }
    let at = address.wrapping_add(edge.offset.into());
    if edge.step == INSIDE {
        return enter(walk, edge.to, at, depth);
    }
    if edge.step != POINTER && edge.step != BOXED_ {
        walk.partial = 1;
        return ON;
    }
    let Some(to) = target::read(at) else { return fail(walk, UNREADABLE) };
    if edge.step == POINTER {
        return enter(walk, edge.to, to.wrapping_add(edge.add.into()), depth);
    }
    let Some(vtable) = target::read(address.wrapping_add(edge.add.into())) else { return fail(walk, UNREADABLE) };
    // SAFETY: the value is copied at once, and the agent never changes the map while hooks are armed.
    let layout = unsafe { BOXED.get(&vtable) }.copied().unwrap_or(edge.to);
    enter(walk, layout, to, depth)
}

/// Looks at a value: notes its frame, and what it leads to.
#[inline(always)]
fn enter(walk: &mut Walk, layout: u32, address: u64, depth: u32) -> u32 {
    let Some(layout) = LAYOUTS.get(layout) else { return fail(walk, UNREADABLE) };
    let value = if layout.size == 0 {
        0
    } else {
        match number(address.wrapping_add(layout.discriminant.into()), layout.size) {
            Some(value) => value,
            None => return fail(walk, UNREADABLE),
        }
    };
    let Some(variant) = variant(layout, value) else { return fail(walk, UNREADABLE) };
    let mut depth = depth;
    if variant.frame != NONE {
        let count = walk.count;
        if count >= FRAMES_MAX as u32 {
            return fail(walk, TOO_LONG);
        }
        let word = variant.frame | (depth << FRAME_BITS);
        walk.frames[(count & 63) as usize] = word;
        walk.hash = hash(walk.hash, word);
        walk.count = count + 1;
        depth += 1;
    }
    if variant.count == 0 {
        return ON;
    }
    let nested = walk.nested;
    if nested >= NESTED_MAX {
        return fail(walk, TOO_LONG);
    }
    let (next, end) = (variant.first, variant.first + variant.count);
    walk.stack[(nested & (NESTED_MAX - 1)) as usize] = Cursor { address, next, end, depth, padding: 0 };
    walk.nested = nested + 1;
    ON
}

#[inline(always)]
fn variant(layout: &Layout, value: u64) -> Option<&'static Variant> {
    if layout.direct == 1 {
        return if value < u64::from(layout.count) { VARIANTS.get(layout.first + value as u32) } else { None };
    }
    for n in 0..VARIANTS_MAX {
        if n >= layout.count {
            return None;
        }
        let variant = VARIANTS.get(layout.first + n)?;
        if variant.any == 1 || variant.value == value {
            return Some(variant);
        }
    }
    None
}

/// A number of the target's memory, of 1 to 8 bytes.
#[inline(always)]
fn number(address: u64, size: u32) -> Option<u64> {
    if size == 0 || size > 8 {
        return None;
    }
    let mut value = 0_u64;
    // SAFETY: the helper copies as many bytes from user space, and fails instead of faulting.
    let read = unsafe { bpf_probe_read_user((&raw mut value).cast(), size, address as *const c_void) };
    (read == 0).then_some(value)
}
