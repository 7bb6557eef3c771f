//! x86-64 instructions: decoding, following a task's header through registers, and which of them the kernel emulates.
//! Other modules take iced's instructions and registers from here as they are, so that another machine takes more than
//! another module like this one: ARCHITECTURE.md lists the places.

pub mod abort;
mod assumed;
pub mod bind;
pub mod code;
mod coverage;
pub mod current_task;
pub mod descent;
pub mod entry;
pub mod flow;
pub mod queue;
pub mod raise;
pub mod resumed;
mod source;
pub mod symbolic;
pub mod syscalls;
pub(crate) mod table;
pub mod trace;
mod values;
pub mod waker;
pub mod worker;

pub(crate) use assumed::message_of;
pub(crate) use values::{ARGUMENTS, CALLER_SAVED, is_write};

use iced_x86::{Code, Formatter as _, GasFormatter, Instruction, Mnemonic, Register};

/// A task's header is the first argument.
pub(crate) const FIRST: u8 = 1;

/// Returns `true` if the kernel emulates a uprobe's instruction instead of single-stepping a copy of it, which
/// costs several times as much: relative jumps and calls, one-byte pushes, `nop`.
///
/// Source: <https://github.com/torvalds/linux/blob/v6.12/arch/x86/kernel/uprobes.c#L1045-L1128>
#[must_use]
pub fn is_emulated(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Push => matches!(instruction.code(), Code::Push_r64),
        Mnemonic::Jmp => instruction.is_jmp_short_or_near(),
        Mnemonic::Call => instruction.is_call_near(),
        Mnemonic::Nop => instruction.len() == 1,
        _ => instruction.is_jcc_short_or_near(),
    }
}

/// The instruction in AT&T syntax, as `objdump` shows it.
#[must_use]
pub fn show(instruction: &Instruction) -> String {
    let mut text = String::new();
    GasFormatter::new().format(instruction, &mut text);
    text
}

/// A register's place in the kernel's `pt_regs`, in words.
///
/// Source: <https://github.com/torvalds/linux/blob/v6.12/arch/x86/include/uapi/asm/ptrace.h#L44-L79>
#[must_use]
pub fn place_in_pt_regs(register: Register) -> Option<u8> {
    const ORDER: [Register; 16] = [
        Register::R15,
        Register::R14,
        Register::R13,
        Register::R12,
        Register::RBP,
        Register::RBX,
        Register::R11,
        Register::R10,
        Register::R9,
        Register::R8,
        Register::RAX,
        Register::RCX,
        Register::RDX,
        Register::RSI,
        Register::RDI,
        Register::RSP,
    ];
    // Four words stand between RDI and RSP: the system call's number, RIP, CS and the flags.
    let place = ORDER.iter().position(|&known| known == register)?;
    u8::try_from(if register == Register::RSP { 19 } else { place }).ok()
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    fn decoded(bytes: &[u8]) -> Instruction {
        Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE).decode()
    }

    #[test]
    fn knows_what_the_kernel_emulates() {
        let check =
            |bytes: &[u8], emulated| assert_eq!(is_emulated(&decoded(bytes)), emulated, "{}", show(&decoded(bytes)));
        check(&[0x55], true); // push %rbp
        check(&[0x41, 0x57], true); // push %r15
        check(&[0x75, 0x10], true); // jne
        check(&[0x0f, 0x84, 0, 1, 0, 0], true); // je near
        check(&[0xe9, 0, 1, 0, 0], true); // jmp
        check(&[0xe8, 0, 1, 0, 0], true); // call
        check(&[0x90], true); // nop
        check(&[0xff, 0xe0], false); // jmp *%rax
        check(&[0xff, 0x15, 0, 1, 0, 0], false); // call *0x100(%rip)
        check(&[0x48, 0x83, 0xec, 0x18], false); // sub $0x18,%rsp
        check(&[0xc3], false); // ret
        check(&[0xe3, 0x10], false); // jrcxz
    }

    #[test]
    fn places_registers_as_the_kernel_does() {
        let check = |register, place| assert_eq!(place_in_pt_regs(register), place);
        check(Register::R15, Some(0));
        check(Register::RBX, Some(5));
        check(Register::RAX, Some(10));
        check(Register::RDI, Some(14));
        check(Register::RSP, Some(19));
        check(Register::EAX, None);
    }
}
