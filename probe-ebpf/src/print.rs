//! What the target writes to its standard output and error. Armed only where that was asked for.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    btf_maps::{Array, PerCpuArray},
    helpers::{bpf_get_attach_cookie, bpf_loop, bpf_probe_read_user, generated},
    macros::{btf_map, uprobe},
    programs::ProbeContext,
};
use probe_common::{
    config::Call,
    loss::Loss,
    record::{self, Kind, PRINT_MAX},
};

use crate::{
    descriptor,
    emit::{emit, lost, output},
    io::VECTORS_MAX,
    message::{SLOTS, exchange},
    regs::{self, Interrupted, StackPointer},
    stack, target,
};

/// The most records of one call.
const RECORDS_MAX: u32 = 32;
/// Each buffer takes a step, and each record.
const STEPS_MAX: u32 = RECORDS_MAX + VECTORS_MAX as u32;

/// The work of a program, which it holds meanwhile. Record and bytes lie side by side, as they are written.
#[repr(C)]
pub struct Print {
    held: u64,
    /// The next byte, and how many follow in its buffer.
    address: u64,
    in_buffer: u64,
    /// The next buffer's `iovec`, and how many there are.
    vectors: u64,
    vectors_left: u64,
    /// The number of bytes of the call that are still to be reported.
    left: u64,
    records: u32,
    unreadable: u32,
    record: record::Print,
    bytes: [u8; PRINT_MAX],
}

#[btf_map]
static PRINTS: PerCpuArray<Print, SLOTS> = PerCpuArray::new();

/// The descriptors that are looked at: bit 1 for standard output, bit 2 for standard error.
#[btf_map]
static PRINTED: Array<u64, 1> = Array::new();

/// It lies on the program's stack, where the verifier keeps track of each pointer.
#[repr(C)]
struct Context {
    stack_pointer: u64,
    print: *mut Print,
}

/// After a call that writes.
#[uprobe]
pub fn print(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    // SAFETY: the context is this program's own.
    let call = Call::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    let arguments = regs::call_arguments(&ctx);
    if is_looked_at(arguments[0]) && descriptor::is_targets() {
        printed(&ctx, call, arguments, regs::returned(&ctx));
    }
    0
}

#[inline(always)]
fn is_looked_at(descriptor: u64) -> bool {
    let descriptor = descriptor as u32;
    matches!(descriptor, 1 | 2) && PRINTED.get(0).is_some_and(|looked_at| looked_at >> descriptor & 1 != 0)
}

/// Reports what a call of the target's wrote, if that is looked at.
#[inline(always)]
pub fn printed(thread: &impl Interrupted, call: Call, arguments: [u64; 4], wrote: i64) {
    let [descriptor, second, third, _] = arguments;
    if wrote <= 0 || !is_looked_at(descriptor) {
        return;
    }
    let wrote = wrote as u64;
    let Some(print) = take() else {
        lost(Loss::NoSlot);
        return cut(thread, descriptor, wrote, false);
    };
    let is_plain = matches!(call, Call::Write);
    print.address = second;
    print.in_buffer = if is_plain { wrote } else { 0 };
    print.vectors = second;
    print.vectors_left = if is_plain { 0 } else { third.min(VECTORS_MAX) };
    print.left = wrote;
    (print.records, print.unreadable) = (0, 0);
    print.record.missing = 0;
    print.record.descriptor = descriptor as u8;
    print.record.ends_line = 0;
    print.record.zero = 0;
    let mut context = Context { stack_pointer: thread.stack_pointer(), print };
    // SAFETY: the context lives until the loop ends.
    unsafe { bpf_loop(STEPS_MAX, advance as *mut c_void, (&raw mut context).cast(), 0) };
    if print.left > 0 {
        lost(if print.unreadable != 0 { Loss::PrintUnreadable } else { Loss::PrintTooLong });
        let last = second.wrapping_add(wrote - 1);
        cut(thread, descriptor, print.left, is_plain && ends_line(last));
    }
    give_back(print);
}

/// Reports bytes that no record holds.
#[inline(always)]
fn cut(thread: &impl Interrupted, descriptor: u64, missing: u64, ends_line: bool) {
    emit(thread, Kind::Print, 0, |head| record::Print {
        head,
        missing,
        len: 0,
        descriptor: descriptor as u8,
        ends_line: u8::from(ends_line),
        zero: 0,
    });
}

#[inline(always)]
fn ends_line(last: u64) -> bool {
    // SAFETY: the helper copies from user space, and fails instead of faulting.
    let last = unsafe { bpf_probe_read_user(last as *const u8) };
    last.is_ok_and(|last| last == b'\n')
}

/// One step: to the next buffer, or a record. 1 ends the loop.
unsafe extern "C" fn advance(_: u32, context: *mut c_void) -> u64 {
    // SAFETY: the loop was given this context, whose pointers are valid until it ends.
    let context = unsafe { &*context.cast::<Context>() };
    // SAFETY: as above; nothing else of this program touches it during the loop.
    let print = unsafe { &mut *context.print };
    if print.left == 0 || print.records == RECORDS_MAX {
        return 1;
    }
    if print.in_buffer == 0 {
        return next_buffer(print);
    }
    let len = if print.in_buffer < PRINT_MAX as u64 { print.in_buffer as u32 } else { PRINT_MAX as u32 };
    let to = print.bytes.as_mut_ptr();
    // SAFETY: the bytes have room for as much; the helper fails instead of faulting.
    let failed = unsafe {
        generated::bpf_probe_read_user(to.cast(), len & (2 * PRINT_MAX as u32 - 1), print.address as *const c_void)
    };
    if failed != 0 {
        print.unreadable = 1;
        return 1;
    }
    print.address = print.address.wrapping_add(u64::from(len));
    print.in_buffer -= u64::from(len);
    print.left -= u64::from(len);
    print.records += 1;
    print.record.len = len as u16;
    let record_len = size_of::<record::Print>() as u32 + len;
    output(&StackPointer(context.stack_pointer), Kind::Print, record_len, |head| {
        print.record.head = head;
        (&raw const print.record).cast()
    });
    0
}

/// Goes to the next buffer: a `struct iovec`, an address and a length.
#[inline(always)]
fn next_buffer(print: &mut Print) -> u64 {
    if print.vectors_left == 0 {
        return 1;
    }
    let (address, len) = (target::read(print.vectors), target::read(print.vectors.wrapping_add(8)));
    let (Some(address), Some(len)) = (address, len) else {
        print.unreadable = 1;
        return 1;
    };
    print.vectors = print.vectors.wrapping_add(16);
    print.vectors_left -= 1;
    (print.address, print.in_buffer) = (address, if len < print.left { len } else { print.left });
    0
}

/// A place to work that nobody else holds. It must be given back.
#[inline(always)]
fn take() -> Option<&'static mut Print> {
    let mut index = 0;
    while index < SLOTS as u32 {
        let print = PRINTS.get_ptr_mut(index)?;
        // SAFETY: it lies in a map's value, which outlives the program's run; programs of this CPU may only
        // be nested, and exchange `held` before they touch the rest.
        let print = unsafe { &mut *print };
        if exchange(&mut print.held, 1) == 0 {
            return Some(print);
        }
        index += 1;
    }
    None
}

/// Gives it back, with nothing left in it: the helper zeroes what it cannot fill.
#[inline(always)]
fn give_back(print: &mut Print) {
    const NOWHERE: u64 = 1 << 63;
    // SAFETY: the helper writes as much as is asked for.
    unsafe {
        generated::bpf_probe_read_user(print.bytes.as_mut_ptr().cast(), PRINT_MAX as u32, NOWHERE as *const c_void)
    };
    exchange(&mut print.held, 0);
}
