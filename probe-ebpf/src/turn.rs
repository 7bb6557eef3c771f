//! Hooks at the entries of the drivers' turns, and where these have returned.

use aya_ebpf::{EbpfContext as _, helpers::bpf_get_attach_cookie, macros::uprobe, programs::ProbeContext};
use probe_common::config::TurnCookie;

use crate::{moment, regs::Interrupted as _, stack};

/// At the entry of a driver's turn, or behind its call; see [`TurnCookie`]. It makes no record: a wake says.
#[uprobe]
pub fn turn(ctx: ProbeContext) -> u32 {
    stack::of_the_thread(&ctx);
    // SAFETY: the context is this program's own.
    match TurnCookie::unpack(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }) {
        TurnCookie::Begins(driver) => moment::turn_begins(ctx.stack_pointer(), driver),
        TurnCookie::HasReturned => moment::turn_ends(ctx.stack_pointer()),
    }
    0
}
