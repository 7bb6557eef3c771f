//! System calls by the kernel's tracepoints, which every call of every process on the machine passes: for a
//! target whose calls cannot be seen one by one.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use probe_common::config::Call;

use crate::{
    descriptor::{changed, is_targets},
    io::transferred,
    print::printed,
    regs::{caller, number},
};

/// A call that goes on after a signal, as the kernel notes it: `-ERESTARTSYS` and its kin.
/// <https://github.com/torvalds/linux/blob/v6.12/include/linux/errno.h#L14-L18>
const RESTARTS: core::ops::RangeInclusive<i64> = -516..=-512;
const INTERRUPTED: i64 = -4;

/// Before a call: of a `close`, afterwards another thread may have the descriptor again.
///
/// <https://github.com/torvalds/linux/blob/v6.12/include/trace/events/syscalls.h#L18-L42>
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn call_enter(ctx: RawTracePointContext) -> i32 {
    if Call::of(ctx.arg::<u64>(1)) == Some(Call::Close)
        && is_targets()
        && let Some((thread, arguments)) = caller(ctx.arg::<u64>(0))
    {
        changed(&thread, Call::Close, arguments, 0);
    }
    0
}

/// Behind a call.
///
/// <https://github.com/torvalds/linux/blob/v6.12/include/trace/events/syscalls.h#L44-L68>
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn call_exit(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0);
    let returned = ctx.arg::<i64>(1);
    let Some(call) = number(registers).and_then(Call::of) else { return 0 };
    if call == Call::Close || !is_targets() {
        return 0;
    }
    let Some((thread, arguments)) = caller(registers) else { return 0 };
    if call.moves_bytes() {
        transferred(&thread, call, arguments, returned, || true);
    } else {
        let returned = if RESTARTS.contains(&returned) { INTERRUPTED } else { returned };
        changed(&thread, call, arguments, returned);
    }
    0
}

/// Behind a call, where only what is printed matters.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn print_exit(ctx: RawTracePointContext) -> i32 {
    let registers = ctx.arg::<u64>(0);
    let Some(call @ (Call::Write | Call::WriteVector)) = number(registers).and_then(Call::of) else { return 0 };
    if is_targets()
        && let Some((thread, arguments)) = caller(registers)
    {
        printed(&thread, call, arguments, ctx.arg::<i64>(1));
    }
    0
}
