//! Hooks where a new task is handed to its scheduler.

use aya_ebpf::{
    EbpfContext as _, helpers::bpf_get_attach_cookie, macros::uprobe, programs::ProbeContext,
};
use probe_common::{
    config::SpawnCookie,
    record::{Kind, Spawn, flags, state},
};

use crate::{
    emit::{emit, missed},
    regs, target,
};

const BLOCKING: u64 = SpawnCookie::Blocking as u64;
const LOCAL: u64 = SpawnCookie::Local as u64;

/// At the entry of `OwnedTasks::bind_inner` and its kin.
#[uprobe]
pub fn spawn(ctx: ProbeContext) -> u32 {
    // SAFETY: the context is this program's own.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let (task, word) = match target::task(regs::second_argument(&ctx)) {
        Ok(found) => found,
        Err(loss) => {
            missed(loss);
            return 0;
        }
    };
    // Woken tasks pass `LocalSet`'s queue as well; one that is new still has its first state.
    if cookie == LOCAL && word != state::INITIAL {
        return 0;
    }
    let way = match cookie {
        BLOCKING => flags::BLOCKING,
        LOCAL => flags::LOCAL,
        _ => 0,
    };
    let caller = target::read(regs::stack_pointer(&ctx)).unwrap_or(0);
    emit(&ctx, Kind::Spawn, way, |head| Spawn { head, task, state: word, caller });
    0
}
