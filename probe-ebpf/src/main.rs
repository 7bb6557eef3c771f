//! asyncscope's eBPF programs: they notice and submit, and know no name and no policy.
//!
//! Each program serves every hook of its kind; what differs between hooks comes in the cookie. All
//! run in the target's thread, at an instruction whose registers the agent has proved.

#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "the target offers atomic additions only as an intrinsic")]

mod call;
mod chain;
mod descriptor;
mod emit;
mod http2;
mod io;
mod message;
mod moment;
mod off_cpu;
mod poll;
mod print;
mod regs;
mod running;
mod sample;
mod spawn;
mod stack;
mod target;
mod transition;
mod turn;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
