//! Hooks where a new task is handed to its scheduler.

use aya_ebpf::{EbpfContext as _, helpers::bpf_get_attach_cookie, macros::uprobe, programs::ProbeContext};
use probe_common::{
    config::{SpawnCookie, SpawnWay},
    record::{Kind, Spawn, flags, state},
};

use crate::{
    emit::{emit, missed},
    regs, target,
};

/// Where a new task is bound to its runtime, or goes into a queue.
#[uprobe]
pub fn spawn(ctx: ProbeContext) -> u32 {
    // SAFETY: the context is this program's own.
    let cookie = SpawnCookie::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) });
    let header = regs::word(&ctx, cookie.header);
    let (task, word) = match target::task(header) {
        Ok(found) => found,
        Err(loss) => {
            missed(&ctx, header, loss);
            return 0;
        }
    };
    let way = match cookie.way {
        SpawnWay::Owned => 0,
        SpawnWay::Blocking => flags::BLOCKING,
        // Woken tasks pass `LocalSet`'s queue as well; one that is new still has its first state.
        SpawnWay::Local if word != state::INITIAL => return 0,
        SpawnWay::Local => flags::LOCAL,
    };
    let caller = if cookie.at_entry { target::read(regs::stack_pointer(&ctx)).unwrap_or(0) } else { 0 };
    emit(&ctx, Kind::Spawn, way, |head| Spawn { head, task, state: word, caller });
    0
}
