//! Hooks where a new task is handed to its scheduler.

use aya_ebpf::{EbpfContext as _, helpers::bpf_get_attach_cookie, macros::uprobe, programs::ProbeContext};
use probe_common::{
    config::{SpawnCookie, SpawnWay},
    loss::Loss,
    record::{Kind, Spawn, SpawnedBy, Task, flags, state},
};

use crate::{
    emit::{emit, lost, missed},
    moment,
    regs::{self, Interrupted as _},
    running, stack, target,
};

/// Runs where a new task is bound to its runtime, or goes into a queue.
#[uprobe]
pub fn spawn(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    if let Some(New { task, state, caller, way }) = new(&ctx) {
        let (completion, _) = moment::now(ctx.stack_pointer());
        emit(&ctx, Kind::Spawn, way | completion, |head| Spawn { head, task, state, caller });
    }
    0
}

/// Notes a spawn, and which task the thread runs as tokio's `CONTEXT` reports: where polls have no hooks.
#[uprobe]
pub fn spawn_by(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    if let Some(New { task, state, caller, way }) = new(&ctx) {
        let (by, unread) = match running::task() {
            Some(id) => (id, 0),
            None => (0, flags::ID_UNREADABLE),
        };
        if unread != 0 {
            lost(Loss::RunningUnreadable);
        }
        emit(&ctx, Kind::SpawnedBy, way | unread, |head| SpawnedBy { head, task, state, caller, by });
    }
    0
}

/// A task that was handed to its scheduler.
struct New {
    task: Task,
    state: u64,
    caller: u64,
    way: u8,
}

#[inline(always)]
fn new(ctx: &ProbeContext) -> Option<New> {
    // SAFETY: the context is this program's own.
    let cookie = SpawnCookie::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    let header = regs::word(ctx, cookie.header);
    let (task, state) = match target::task(header) {
        Ok(found) => found,
        Err(loss) => {
            missed(ctx, header, loss);
            return None;
        }
    };
    let way = match cookie.way {
        SpawnWay::Owned => 0,
        SpawnWay::Blocking => flags::BLOCKING,
        // Woken tasks pass `LocalSet`'s queue as well; one that is new still has its first state.
        SpawnWay::Local if state != state::INITIAL => return None,
        SpawnWay::Local => flags::LOCAL,
    };
    let caller = if cookie.at_entry { target::read(ctx.stack_pointer()).unwrap_or(0) } else { 0 };
    Some(New { task, state, caller, way })
}
