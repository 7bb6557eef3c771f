//! The library that is watched, as long as it is mapped: a plugin may be unloaded.

use asyncscope_discovery::{
    addr::{Bias, RuntimeAddr},
    image::elf::Elf,
    process::Process,
};

/// The first bytes of a file: its ELF header.
const LEN: usize = 64;

/// A library where it is mapped.
#[derive(Debug)]
pub(crate) struct MappedLibrary {
    /// Its name, as the process sees it.
    pub(crate) name: String,
    address: u64,
    header: [u8; LEN],
}

impl MappedLibrary {
    /// `None`: its header is not in memory, so that it is not known how long it is there.
    pub(super) fn new(name: &str, elf: &Elf<'_>, bias: Bias) -> Option<Self> {
        let address = elf.at_file_start()?.at_runtime(bias).0;
        let header = *elf.data().first_chunk()?;
        Some(Self { name: name.to_owned(), address, header })
    }

    /// Returns `true` if another file is mapped there, or nothing. The same file, mapped there again, is as it was.
    pub(crate) fn is_gone(&self, process: &Process) -> bool {
        self.is_gone_by(|address, bytes| process.read_memory(RuntimeAddr(address), bytes))
    }

    fn is_gone_by(&self, read: impl FnOnce(u64, &mut [u8]) -> usize) -> bool {
        let mut now = [0; LEN];
        read(self.address, &mut now) < LEN || now != self.header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_there_as_long_as_its_header_is() {
        let library = MappedLibrary { name: "l.so".into(), address: 0x1000, header: [7; LEN] };
        let gone = |byte: u8, len: usize| {
            library.is_gone_by(|address, bytes| {
                assert_eq!(address, 0x1000);
                bytes[..len].fill(byte);
                len
            })
        };
        assert!(!gone(7, LEN));
        assert!(gone(7, LEN - 1) && gone(7, 0), "it was unmapped");
        assert!(gone(8, LEN), "another one is there");
    }
}
