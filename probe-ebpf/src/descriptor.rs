//! Descriptors of the target: which of them begin and end being connections.

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_pidns_info,
    btf_maps::{Array, LruHashMap},
    helpers::{bpf_get_attach_cookie, generated::bpf_get_ns_current_pid_tgid},
    macros::{btf_map, uprobe},
    programs::ProbeContext,
};
use probe_common::{
    config::{Call, WatchedProcess},
    http::{Connection, Direction, Reported},
    loss::Loss,
    message_builder::MessageBuilder,
    record::{Change, Source},
};

use crate::{
    emit::lost,
    message,
    regs::{self, Interrupted},
    stack,
};

/// The connection behind each descriptor, by its number. The agent sets how many.
#[btf_map]
static CONNECTIONS: Array<Connection, 16384> = Array::new();

/// Messages under construction of which only a part came yet; see [`piece_key`]. Those that nobody asks for any more
/// make room for others.
#[btf_map]
pub static PIECES: LruHashMap<u32, MessageBuilder, 1024> = LruHashMap::new();

#[btf_map]
static WATCHED: Array<WatchedProcess, 1> = Array::new();

/// One piece for each direction of a descriptor.
#[inline(always)]
pub fn piece_key(descriptor: u32, direction: u32) -> u32 {
    descriptor << 1 | direction
}

/// Returns the connection behind this descriptor. `None` for the standard ones, too: they are no connections.
#[inline(always)]
pub fn connection(descriptor: u64) -> Option<&'static mut Connection> {
    const STANDARD: u32 = 2;
    let descriptor = descriptor as u32;
    if descriptor <= STANDARD {
        return None;
    }
    // SAFETY: a map's value outlives the program's run. Another program may change it at the same time:
    // all of it is plain integers, of which none is trusted as an index or a length.
    CONNECTIONS.get_ptr_mut(descriptor).map(|connection| unsafe { &mut *connection })
}

/// Returns `true` if this thread is the target's.
#[inline(always)]
pub fn is_targets() -> bool {
    let Some(watched) = WATCHED.get(0) else { return false };
    let mut ids = bpf_pidns_info { pid: 0, tgid: 0 };
    // SAFETY: the helper writes as much as is asked for.
    let failed = unsafe {
        bpf_get_ns_current_pid_tgid(watched.device, watched.inode, &mut ids, size_of::<bpf_pidns_info>() as u32)
    };
    failed == 0 && u64::from(ids.tgid) == watched.pid
}

/// At calls that make, end, or duplicate descriptors.
#[uprobe]
pub fn descriptor(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    if is_targets() {
        // SAFETY: the context is this program's own.
        let call = Call::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
        changed(&ctx, call, regs::call_arguments(&ctx), regs::returned(&ctx));
    }
    0
}

/// Follows what a call does to descriptors of the target's: right before a `close`, behind all others.
#[inline(always)]
pub fn changed(thread: &impl Interrupted, call: Call, arguments: [u64; 4], returned: i64) {
    const IN_PROGRESS: i64 = -115;
    const INTERRUPTED: i64 = -4;
    let [first, second, third, _] = arguments;
    match call {
        Call::SendFile | Call::Several if returned > 0 => bypassed(thread, first),
        Call::Splice if returned > 0 => {
            bypassed(thread, first);
            bypassed(thread, third);
        }
        Call::Close => close(thread, first),
        Call::Accept if returned >= 0 => open(thread, returned as u64),
        Call::Connect if matches!(returned, 0 | IN_PROGRESS | INTERRUPTED) => connect(thread, first),
        Call::Duplicate if returned >= 0 => duplicate(thread, first, returned as u64),
        Call::Control if returned >= 0 && is_duplication(second) => duplicate(thread, first, returned as u64),
        _ => {}
    }
}

/// `F_DUPFD`, `F_DUPFD_CLOEXEC`
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/fcntl.h#L22>
#[inline(always)]
fn is_duplication(command: u64) -> bool {
    matches!(command as u32, 0 | 1030)
}

#[inline(always)]
fn open(thread: &impl Interrupted, descriptor: u64) {
    if let Some(connection) = connection(descriptor) {
        report_change(thread, descriptor, connection.open());
    }
}

#[inline(always)]
fn connect(thread: &impl Interrupted, descriptor: u64) {
    if let Some(connection) = connection(descriptor) {
        report_change(thread, descriptor, connection.connect());
    }
}

#[inline(always)]
fn close(thread: &impl Interrupted, descriptor: u64) {
    let Some(connection) = connection(descriptor) else { return };
    for direction in [Direction::Read, Direction::Written] {
        if connection.is_inside_head(direction) {
            let _ = PIECES.remove(piece_key(descriptor as u32, direction as u32));
        }
    }
    report_change(thread, descriptor, connection.close());
}

/// Both descriptors are one connection from now on, of which each sees a part.
#[inline(always)]
fn duplicate(thread: &impl Interrupted, old: u64, new: u64) {
    if old == new {
        return;
    }
    bypassed(thread, old);
    close(thread, new);
}

/// Something went through the connection unseen.
#[inline(always)]
pub fn bypassed(thread: &impl Interrupted, descriptor: u64) {
    if let Some(connection) = connection(descriptor) {
        lose(thread, descriptor, connection, Loss::Bypassed);
    }
}

/// Gives the connection up, for this reason.
#[inline(always)]
pub fn lose(thread: &impl Interrupted, descriptor: u64, connection: &mut Connection, why: Loss) {
    let reported = connection.lose();
    report_lost(thread, descriptor, reported, why);
}

/// Reports, and counts, that a connection was given up, if it was.
#[inline(always)]
pub fn report_lost(thread: &impl Interrupted, descriptor: u64, reported: Reported, why: Loss) {
    if matches!(reported, Reported::Lost | Reported::LostUnreported) {
        lost(why);
    }
    report_change(thread, descriptor, reported);
}

/// Reports how a connection changed, if it did.
#[inline(always)]
pub fn report_change(thread: &impl Interrupted, descriptor: u64, reported: Reported) {
    let change = match reported {
        Reported::Closed => Change::Closed,
        Reported::Lost => Change::Lost,
        Reported::Left | Reported::MessageAndLeft => Change::Left,
        _ => return,
    };
    message::change(thread, Source::Descriptor, descriptor & 0xffff_ffff, change);
}
