//! Functions written in instructions, as an image.

use std::ops::{Deref, DerefMut};

use iced_x86::{
    BlockEncoderOptions, Code, IcedError, Instruction, MemoryOperand, Register,
    code_asm::{AsmRegister64, CodeAssembler, CodeLabel, qword_ptr, rdi, rdx},
};

use super::image::{CODE, DATA, Image, Pointers, Word};
use crate::addr::ElfAddr;

/// Instructions one a statement: `asm!(a: mov rbx, rdi; ret;)`.
macro_rules! asm {
    ($a:ident: $($op:ident $($operand:expr),*;)*) => {{ $($a.$op($($operand),*).unwrap();)* }};
}
pub(super) use asm;

/// A growing image; its first function begins at once.
pub(super) struct Asm {
    assembler: CodeAssembler,
    pub(super) image: Image,
    starts: Vec<usize>,
    marks: Vec<usize>,
}

/// The image, and where its parts came to lie.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) bytes: Vec<u8>,
    pub(super) functions: Vec<ElfAddr>,
    pub(super) marks: Vec<ElfAddr>,
}

impl Deref for Asm {
    type Target = CodeAssembler;
    fn deref(&self) -> &CodeAssembler {
        &self.assembler
    }
}

impl DerefMut for Asm {
    fn deref_mut(&mut self) -> &mut CodeAssembler {
        &mut self.assembler
    }
}

impl Asm {
    /// The image of what is written.
    pub(super) fn assembled(write: impl FnOnce(&mut Self)) -> Assembled {
        let mut asm = Self::new();
        write(&mut asm);
        asm.finish()
    }

    fn new() -> Self {
        let assembler = CodeAssembler::new(64).unwrap();
        Self { assembler, image: Image::new(Pointers::Rela), starts: vec![0], marks: Vec::new() }
    }

    /// The next function begins here.
    pub(super) fn function(&mut self, label: &mut CodeLabel) -> Result<(), IcedError> {
        self.starts.push(self.assembler.instructions().len());
        self.assembler.set_label(label)
    }

    /// The next instruction is one to be found.
    #[expect(clippy::unnecessary_wraps, reason = "an instruction like all others to who writes them")]
    pub(super) fn mark(&mut self) -> Result<(), IcedError> {
        self.marks.push(self.assembler.instructions().len());
        Ok(())
    }

    /// An exchange of the first word that `header` points to for RDX.
    pub(super) fn exchange(&mut self, header: AsmRegister64) -> Result<(), IcedError> {
        self.lock().cmpxchg(qword_ptr(header), rdx)?;
        self.mark()
    }

    /// Stores the owner's id into a header.
    pub(super) fn owner(&mut self, header: AsmRegister64) -> Result<(), IcedError> {
        self.mov(qword_ptr(header + 0x18), rdi)
    }

    /// Loads a header's vtable.
    pub(super) fn vtable(&mut self, to: AsmRegister64, header: AsmRegister64) -> Result<(), IcedError> {
        self.mov(to, qword_ptr(header + 0x10))
    }

    /// Loads the id's place in the cell from a vtable.
    pub(super) fn id_offset(&mut self, to: AsmRegister64, vtable: AsmRegister64) -> Result<(), IcedError> {
        self.mov(to, qword_ptr(vtable + 0x48))
    }

    /// Loads the task's id.
    pub(super) fn id(&mut self, to: AsmRegister64, header: AsmRegister64, at: AsmRegister64) -> Result<(), IcedError> {
        self.mov(to, qword_ptr(header + at))
    }

    /// A new entry of the GOT for the function of that place in the list.
    fn got_entry(&mut self, function: usize) -> MemoryOperand {
        let place = DATA + 8 * self.image.data.len() as u64;
        self.image.data.push(Word::Function(function));
        MemoryOperand::new(Register::RIP, Register::None, 1, place as i64, 8, false, Register::None)
    }

    /// `call *entry(%rip)`
    pub(super) fn call_got(&mut self, function: usize) -> Result<(), IcedError> {
        let entry = self.got_entry(function);
        self.add_instruction(Instruction::with1(Code::Call_rm64, entry)?)
    }

    /// `jmp *entry(%rip)`
    pub(super) fn jmp_got(&mut self, function: usize) -> Result<(), IcedError> {
        let entry = self.got_entry(function);
        self.add_instruction(Instruction::with1(Code::Jmp_rm64, entry)?)
    }

    /// `mov entry(%rip),%rax`
    pub(super) fn load_got(&mut self, function: usize) -> Result<(), IcedError> {
        let entry = self.got_entry(function);
        self.add_instruction(Instruction::with2(Code::Mov_r64_rm64, Register::RAX, entry)?)
    }

    fn finish(mut self) -> Assembled {
        let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
        let mut encoded = self.assembler.assemble_options(CODE, options).unwrap().inner;
        let end = CODE + encoded.code_buffer.len() as u64;
        let at =
            |&index: &usize| encoded.new_instruction_offsets.get(index).map_or(end, |&offset| CODE + u64::from(offset));
        let starts: Vec<u64> = self.starts.iter().map(at).collect();
        let marks = self.marks.iter().map(at).map(ElfAddr).collect();
        let ends = starts.iter().skip(1).chain([&end]);
        self.image.functions = starts.iter().zip(ends).map(|(&start, end)| (start, end - start)).collect();
        self.image.code = std::mem::take(&mut encoded.code_buffer);
        let functions = starts.into_iter().map(ElfAddr).collect();
        Assembled { bytes: self.image.bytes(), functions, marks }
    }
}
