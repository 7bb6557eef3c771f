//! Hooks at the entries of functions in a task's vtable, and at a panic's start.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use probe_common::record::{Kind, Panic, PollExit, PollStart, Shutdown};

use crate::{
    chain,
    emit::{emit, missed},
    moment, off_cpu,
    regs::{self, Interrupted as _},
    stack, target,
};

/// At the entry of `raw::poll`.
#[uprobe]
pub fn poll_start(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    let header = regs::first_argument(&ctx);
    match target::task(header) {
        Ok((task, state)) => {
            off_cpu::entered(header, task.vtable, state, ctx.stack_pointer());
            emit(&ctx, Kind::PollStart, 0, |head| PollStart { head, task, state });
        }
        Err(loss) => missed(&ctx, header, loss),
    }
    0
}

/// Notes the start of a poll, and what the task awaited until now.
///
/// Here the future stands as it waited, and this thread has the only right to run it.
#[uprobe]
pub fn poll_start_chain(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    let header = regs::first_argument(&ctx);
    match target::task(header) {
        Ok((task, state)) => {
            off_cpu::entered(header, task.vtable, state, ctx.stack_pointer());
            emit(&ctx, Kind::PollStart, 0, |head| PollStart { head, task, state });
            chain::awaited(&ctx, task, state);
        }
        Err(loss) => missed(&ctx, header, loss),
    }
    0
}

/// At the entry of `raw::shutdown`.
#[uprobe]
pub fn shutdown(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    let header = regs::first_argument(&ctx);
    match target::task(header) {
        Ok((task, state)) => emit(&ctx, Kind::Shutdown, 0, |head| Shutdown { head, task, state }),
        Err(loss) => missed(&ctx, header, loss),
    }
    0
}

/// Runs where a panic starts to unwind.
#[uprobe]
pub fn panic_start(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    moment::panicked();
    emit(&ctx, Kind::Panic, 0, |head| Panic { head });
    0
}

/// Runs where `raw::poll` returns.
#[uprobe]
pub fn poll_exit(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    off_cpu::returned(ctx.stack_pointer());
    emit(&ctx, Kind::PollExit, 0, |head| PollExit { head });
    0
}
