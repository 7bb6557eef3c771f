//! Address spaces as types, so that an address of the wrong one does not compile.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An offset into the executable file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileOffset(pub u64);

/// A virtual address as the ELF file states it, before the kernel moves a position-independent image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ElfAddr(pub u64);

/// An address in the target's memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeAddr(pub u64);

/// The distance that the kernel moved the image by: a [`RuntimeAddr`] less its [`ElfAddr`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bias(pub u64);

impl ElfAddr {
    /// The address that many bytes on. Wraps, as hostile files may ask for it.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The place of this address in the target's memory.
    #[must_use]
    pub const fn at_runtime(self, bias: Bias) -> RuntimeAddr {
        RuntimeAddr(self.0.wrapping_add(bias.0))
    }
}

macro_rules! shown_in_hexadecimal {
    ($($name:ident)*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:#x})", stringify!($name), self.0)
            }
        })*
    };
}
shown_in_hexadecimal!(FileOffset ElfAddr RuntimeAddr);
