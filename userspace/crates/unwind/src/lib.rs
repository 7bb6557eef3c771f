//! Stacks without frame pointers: from registers and the bytes of a stack to return addresses, by the
//! unwind tables (`.eh_frame`) that lie in the target's own memory.
//!
//! Memory is read by a function that is passed in, so a stack can be a copied slice, a live thread, or an
//! array in a test. Where a table does not show the next frame the stack ends, with the reason: frame
//! pointers are never guessed.

mod module;
mod step;
#[cfg(test)]
mod tests;

use asyncscope_trace::event::{Ended, sample::FRAMES_MAX};
use gimli::{Register, X86_64};

pub use module::{Module, Modules};

/// The registers that calls preserve, and where the thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// RIP
    pub ip: u64,
    /// RSP
    pub sp: u64,
    /// RBP
    pub bp: u64,
    /// RBX
    pub bx: u64,
    /// R12 to R15
    pub r: [u64; 4],
}

impl Registers {
    /// `None` for one that calls do not preserve.
    fn get(&self, register: Register) -> Option<u64> {
        Some(match register {
            X86_64::RA => self.ip,
            X86_64::RSP => self.sp,
            X86_64::RBP => self.bp,
            X86_64::RBX => self.bx,
            X86_64::R12 => self.r[0],
            X86_64::R13 => self.r[1],
            X86_64::R14 => self.r[2],
            X86_64::R15 => self.r[3],
            _ => return None,
        })
    }
}

/// A stack as far as it was unwound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwound {
    /// The innermost first: where the thread is, then the call instructions that it is to return from.
    pub frames: Vec<u64>,
    /// The reason why there are no more.
    pub ended: Ended,
    /// The registers in the last frame.
    pub registers: Registers,
}

/// Unwinds a stack until `is_end` says of a frame's address that it is the last one wanted. `read` reads a
/// word of the stack.
pub fn unwind<E>(
    modules: &Modules,
    mut registers: Registers,
    mut read: impl FnMut(u64) -> Result<u64, E>,
    is_end: impl Fn(u64) -> bool,
) -> Unwound {
    let mut frames = Vec::new();
    let mut stepper = step::Stepper::default();
    let mut address = registers.ip;
    let ended = loop {
        frames.push(address);
        if is_end(address) {
            break Ended::Poll;
        }
        if frames.len() == FRAMES_MAX {
            break Ended::TooDeep;
        }
        let Some(module) = modules.of(address) else { break Ended::NoModule };
        match stepper.step(module, address, registers, &mut read) {
            Ok(step) => (registers, address) = (step.registers, step.address),
            Err(ended) => break ended,
        }
    };
    Unwound { frames, ended, registers }
}
