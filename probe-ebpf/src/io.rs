//! What goes through descriptors: heads of HTTP messages are found in it, and nothing else is kept.
//!
//! The hook sits right behind the system call, where its result says how many bytes went through. They
//! are read from the target's buffers as far as the framing needs it, a window at a time.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::{Array, PerCpuArray},
    helpers::{
        bpf_get_attach_cookie, bpf_loop,
        generated::{bpf_probe_read_kernel, bpf_probe_read_user},
    },
    macros::{btf_map, uprobe},
    programs::ProbeContext,
};
use probe_common::{
    config::Call,
    http::{Connection, Direction, Event, Names, Reported, Side, Step, WIDE, is_rest_of_line, step},
    loss::Loss,
    message_builder::MessageBuilder,
    record::Source,
};

use crate::{
    descriptor::{self, PIECES, connection, piece_key},
    emit::lost,
    message::{self, SLOTS, Slot, exchange, give_back, take},
    regs::{self, Interrupted, StackPointer},
    stack, target,
};

/// As much as most heads have.
const WINDOW: u32 = 1024;
/// The most buffers of one call that are looked at.
pub const VECTORS_MAX: u64 = 64;
/// The most steps for one call: enough for a head of 64 KiB.
const STEPS_MAX: u32 = 1 << 17;

/// The place of a call's bytes, and the part of them that is looked at.
#[repr(C)]
pub struct Work {
    descriptor: u64,
    /// The number of bytes of the call that are still to be looked at, those in the window not counted.
    left: u64,
    /// The next of them, and how many of them this buffer has.
    address: u64,
    in_buffer: u64,
    /// The next buffer's `iovec`, and how many there are.
    vectors: u64,
    vectors_left: u64,
    direction: u64,
    /// The next byte's place in the window, and how many bytes the window holds.
    at: u32,
    filled: u32,
    /// The number of bytes of the window that have been written to.
    used: u32,
    /// The reason why the rest cannot be looked at, if some is left.
    failed: Loss,
    /// Not 0: the connection is not followed any further, which was reported.
    stopped: u32,
    zero: u32,
    window: [u8; WINDOW as usize + WIDE],
}

#[btf_map]
static WORK: PerCpuArray<Work, SLOTS> = PerCpuArray::new();

/// The names that matter, made by the agent.
#[btf_map]
static NAMES: Array<Names, 1> = Array::new();

/// The work of a step. It lies on the program's stack, where the verifier keeps track of each pointer.
#[repr(C)]
struct Context {
    stack_pointer: u64,
    work: *mut Work,
    connection: *mut Connection,
    draft: *mut MessageBuilder,
    names: *const Names,
}

/// After a call that moves bytes.
#[uprobe]
pub fn transfer(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    // SAFETY: the context is this program's own.
    let call = Call::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    transferred(&ctx, call, regs::call_arguments(&ctx), regs::returned(&ctx), descriptor::is_targets);
    0
}

/// Looks at what a call moved. Whether the thread is the target's is asked late, where that is not known yet.
#[inline(always)]
pub fn transferred(
    thread: &impl Interrupted,
    call: Call,
    arguments: [u64; 4],
    moved: i64,
    is_targets: impl FnOnce() -> bool,
) {
    if moved <= 0 {
        return;
    }
    let [descriptor, second, third, fourth] = arguments;
    let Some(connection) = connection(descriptor) else {
        if descriptor as u32 > 2 {
            lost(Loss::DescriptorTooHigh);
        }
        return;
    };
    let flags = match call {
        Call::Receive | Call::Send => fourth,
        Call::ReceiveMessage | Call::SendMessage => third,
        _ => 0,
    };
    // Not the stream's bytes, or they will be read again.
    if flags & (PEEK | ERROR_QUEUE) != 0 || !connection.is_followed() || !is_targets() {
        return;
    }
    let hidden = flags & OUT_OF_BAND != 0 || (flags & TRUNCATE != 0 && !is_written(call));
    let direction = if is_written(call) { Direction::Written } else { Direction::Read };
    let bytes = match call {
        _ if hidden => None,
        Call::Read | Call::Write | Call::Receive | Call::Send => Some(Bytes { address: second, vectors: 0, count: 0 }),
        Call::ReadVector | Call::WriteVector => Some(Bytes { address: 0, vectors: second, count: third }),
        _ => of_message(second),
    };
    look(thread, descriptor, connection, direction, moved as u64, bytes);
}

#[inline(always)]
fn is_written(call: Call) -> bool {
    matches!(call, Call::Write | Call::WriteVector | Call::Send | Call::SendMessage)
}

/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/socket.h#L297-L325>
const OUT_OF_BAND: u64 = 1;
const PEEK: u64 = 2;
const TRUNCATE: u64 = 0x20;
const ERROR_QUEUE: u64 = 0x2000;

/// The place of a call's bytes: at an address, or in this many buffers that `iovec`s describe.
struct Bytes {
    address: u64,
    vectors: u64,
    count: u64,
}

/// `struct msghdr`: the buffers' `iovec`s and their number are its third and fourth word.
/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/socket.h#L89-L97>
#[inline(always)]
fn of_message(header: u64) -> Option<Bytes> {
    let (vectors, count) = (target::read(header.wrapping_add(16))?, target::read(header.wrapping_add(24))?);
    Some(Bytes { address: 0, vectors, count })
}

/// Looks at the bytes that went through. `None`: they cannot be.
#[inline(always)]
fn look(
    thread: &impl Interrupted,
    descriptor: u64,
    connection: &mut Connection,
    direction: Direction,
    moved: u64,
    bytes: Option<Bytes>,
) {
    if exchange(&raw mut connection.busy[direction as usize & 1], 1) != 0 {
        connection.torn = 1;
        return;
    }
    let mut failed = Loss::NoSlot;
    let mut done = false;
    if let Some(bytes) = bytes {
        if let Some(slot) = take() {
            if let Some(work) = WORK.get_ptr_mut(slot.index as u32) {
                // SAFETY: the value outlives the program's run, and goes with the slot that is held.
                let work = unsafe { &mut *work };
                begin(work, descriptor, direction, moved, &bytes);
                done = follow(thread, connection, slot, work, direction);
                failed = work.failed;
                wipe(work);
            }
            give_back(slot);
        }
    } else {
        failed = Loss::Bypassed;
    }
    exchange(&raw mut connection.busy[direction as usize & 1], 0);
    if connection.torn != 0 {
        connection.torn = 0;
        (failed, done) = (Loss::Torn, false);
    }
    if !done {
        descriptor::lose(thread, descriptor, connection, failed);
    }
}

#[inline(always)]
fn begin(work: &mut Work, descriptor: u64, direction: Direction, moved: u64, bytes: &Bytes) {
    work.descriptor = descriptor & 0xffff_ffff;
    work.direction = direction as u64;
    work.left = moved;
    work.address = bytes.address;
    work.in_buffer = if bytes.vectors == 0 { moved } else { 0 };
    work.vectors = bytes.vectors;
    work.vectors_left = if bytes.count < VECTORS_MAX { bytes.count } else { VECTORS_MAX };
    (work.at, work.filled, work.used) = (0, 0, 0);
    work.failed = Loss::TooLong;
    work.stopped = 0;
}

#[inline(always)]
fn direction_of(work: &Work) -> Direction {
    if work.direction == 0 { Direction::Read } else { Direction::Written }
}

/// Returns `true` if all was looked at, or need not be; else [`Work::failed`] says why not.
#[inline(always)]
fn follow(
    thread: &impl Interrupted,
    connection: &mut Connection,
    slot: &mut Slot,
    work: &mut Work,
    direction: Direction,
) -> bool {
    connection.begin(direction);
    let Some(names) = NAMES.get(0) else { return false };
    if connection.is_inside_head(direction) && !resume(&mut slot.draft, work) {
        work.failed = Loss::TooManyPieces;
        return false;
    }
    let mut context =
        Context { stack_pointer: thread.stack_pointer(), work, connection, draft: &raw mut slot.draft, names };
    // SAFETY: the context lives until the loop ends.
    unsafe { bpf_loop(STEPS_MAX, advance as *mut c_void, (&raw mut context).cast(), 0) };
    if work.stopped != 0 {
        return true;
    }
    if work.left > 0 || work.at < work.filled {
        return false;
    }
    connection.end(direction);
    if connection.is_inside_head(direction) && !keep(&mut slot.draft, work) {
        work.failed = Loss::TooManyPieces;
        return false;
    }
    true
}

/// Takes up the draft of a head that began before.
#[inline(always)]
fn resume(draft: &mut MessageBuilder, work: &Work) -> bool {
    let key = piece_key(work.descriptor as u32, work.direction as u32);
    let Some(piece) = PIECES.get_ptr(&key) else { return false };
    let to: *mut MessageBuilder = draft;
    // SAFETY: both are whole drafts in maps' values.
    let failed = unsafe { bpf_probe_read_kernel(to.cast(), size_of::<MessageBuilder>() as u32, piece.cast()) };
    let _ = PIECES.remove(key);
    // Another connection's, if the descriptor was closed meanwhile.
    failed == 0 && draft.record.stream == u64::from(key)
}

/// Keeps the draft until the head goes on.
#[inline(always)]
fn keep(draft: &mut MessageBuilder, work: &Work) -> bool {
    let key = piece_key(work.descriptor as u32, work.direction as u32);
    draft.record.stream = u64::from(key);
    PIECES.insert(key, &*draft, 0).is_ok()
}

/// Overwrites what was used of the window: the helper zeroes what it cannot fill.
#[inline(always)]
fn wipe(work: &mut Work) {
    const NOWHERE: u64 = 1 << 63;
    let used = work.used & (2 * WINDOW - 1);
    if used > WINDOW {
        return; // never: but the verifier must see it
    }
    // SAFETY: the helper writes as much as is asked for, which is not more than the window has.
    unsafe { bpf_probe_read_user(work.window.as_mut_ptr().cast(), used, NOWHERE as *const c_void) };
}

/// One step: to the next buffer, over a body, to the next window, or through a few bytes. 1 ends the loop.
unsafe extern "C" fn advance(_: u32, context: *mut c_void) -> u64 {
    // SAFETY: the loop was given this context, whose pointers are valid until it ends.
    let context = unsafe { &*context.cast::<Context>() };
    // SAFETY: as above; nothing else of this program touches them during the loop.
    let (work, connection, draft) = unsafe { (&mut *context.work, &mut *context.connection, &mut *context.draft) };
    let side = connection.side(direction_of(work));
    let in_window = work.filled.wrapping_sub(work.at);
    if in_window == 0 {
        if work.left == 0 {
            return 1;
        }
        if work.in_buffer == 0 {
            return next_buffer(work);
        }
        let skipped = side.skip(work.in_buffer);
        if skipped > 0 {
            pass(work, skipped);
            return 0;
        }
        if !fill(work) {
            work.failed = Loss::BufferUnreadable;
            return 1;
        }
    } else {
        let skipped = side.skip(u64::from(in_window));
        if skipped > 0 {
            work.at += skipped as u32;
            return 0;
        }
    }
    // SAFETY: as above.
    let names = unsafe { &*context.names };
    match read(side, draft, names, work) {
        Event::Nothing => 0,
        event => noticed(&StackPointer(context.stack_pointer), connection, draft, work, event),
    }
}

/// Goes to the next buffer: a `struct iovec`, an address and a length.
#[inline(always)]
fn next_buffer(work: &mut Work) -> u64 {
    if work.vectors_left == 0 {
        return 1;
    }
    let (address, len) = (target::read(work.vectors), target::read(work.vectors.wrapping_add(8)));
    let (Some(address), Some(len)) = (address, len) else {
        work.failed = Loss::BufferUnreadable;
        return 1;
    };
    work.vectors = work.vectors.wrapping_add(16);
    work.vectors_left -= 1;
    (work.address, work.in_buffer) = (address, if len < work.left { len } else { work.left });
    0
}

/// Passes over bytes of the buffer.
#[inline(always)]
fn pass(work: &mut Work, bytes: u64) {
    work.address = work.address.wrapping_add(bytes);
    work.in_buffer -= bytes;
    work.left -= bytes;
}

/// Brings the buffer's next bytes into the window, in which none are left.
#[inline(always)]
fn fill(work: &mut Work) -> bool {
    let len = if work.in_buffer < u64::from(WINDOW) { work.in_buffer as u32 } else { WINDOW };
    // SAFETY: the window has room for as much; the helper fails instead of faulting.
    let failed = unsafe {
        bpf_probe_read_user(work.window.as_mut_ptr().cast(), len & (2 * WINDOW - 1), work.address as *const c_void)
    };
    (work.at, work.filled) = (0, len);
    work.used = if work.used < len { len } else { work.used };
    pass(work, u64::from(len));
    failed == 0
}

#[inline(always)]
fn read(side: &mut Side, draft: &mut MessageBuilder, names: &Names, work: &mut Work) -> Event {
    let at = work.at & (WINDOW - 1);
    // SAFETY: this many bytes follow each place of the window.
    let bytes = unsafe { work.window.as_ptr().add(at as usize) };
    let there = work.filled.wrapping_sub(work.at);
    // SAFETY: as above.
    if there >= WIDE as u32 && is_rest_of_line(side, unsafe { bytes.cast::<[u64; WIDE / 8]>().read_unaligned() }) {
        work.at += WIDE as u32;
        return Event::Nothing;
    }
    // SAFETY: as above.
    let next = unsafe { bytes.cast::<u64>().read_unaligned() };
    let Step { taken, event } = step(side, draft, names, u64::from_le(next), there);
    work.at += taken;
    event
}

/// Reports what was noticed. 1 ends the loop.
#[inline(always)]
fn noticed(
    thread: &impl Interrupted,
    connection: &mut Connection,
    draft: &mut MessageBuilder,
    work: &mut Work,
    event: Event,
) -> u64 {
    let direction = direction_of(work);
    let reported = match event {
        Event::Head => connection.head(direction, draft),
        Event::Http2 => connection.http2(),
        _ => connection.malformed(direction),
    };
    // Only one that was seen to begin is left alone now; of any other, the bytes may be a body's.
    if matches!(event, Event::Encrypted) && !connection.is_followed() {
        lost(Loss::Encrypted);
    }
    let is_message = matches!(reported, Reported::Message | Reported::MessageAndLeft);
    if is_message {
        message::message(thread, draft, Source::Descriptor, work.descriptor);
    }
    descriptor::report_lost(thread, work.descriptor, reported, Loss::Malformed);
    let goes_on = matches!(event, Event::Head) && matches!(reported, Reported::Message | Reported::Nothing);
    if goes_on {
        return 0;
    }
    work.stopped = 1;
    1
}
