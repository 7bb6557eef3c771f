//! Where an ELF file's addresses are in the file. The files are those that `cargo install` has built.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const PT_LOAD: u64 = 1;

/// The file's loaded stretches: address, offset, length.
#[derive(Debug)]
pub(super) struct Offsets(Vec<(u64, u64, u64)>);

impl Offsets {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let data = fs::read(file)?;
        Self::of(&data).with_context(|| format!("{} is no ELF file", file.display()))
    }

    /// The program header table: `man 5 elf`.
    fn of(data: &[u8]) -> Option<Self> {
        let number = |at: u64, len: usize| {
            let at = usize::try_from(at).ok()?;
            let bytes = data.get(at..at.checked_add(len)?)?;
            Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
        };
        let (table, size, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
        let mut loaded = Vec::new();
        for at in (0..count).map(|place| table + place * size) {
            if number(at, 4)? == PT_LOAD {
                loaded.push((number(at + 16, 8)?, number(at + 8, 8)?, number(at + 32, 8)?));
            }
        }
        Some(Self(loaded))
    }

    /// Returns where the address is in the file.
    pub(super) fn of_address(&self, address: u64) -> Option<u64> {
        let inside = |&&(start, _, len): &&(u64, u64, u64)| address.checked_sub(start).is_some_and(|into| into < len);
        self.0.iter().find(inside).map(|(start, offset, _)| offset + (address - start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_offsets() {
        let offsets = Offsets(vec![(0, 0, 0x100), (0x1100, 0x100, 0x200)]);
        let check = |address, expected| assert_eq!(offsets.of_address(address), expected, "{address:#x}");
        check(0x10, Some(0x10));
        check(0x100, None);
        check(0x1110, Some(0x110));
        check(0x12ff, Some(0x2ff));
        check(0x1300, None);
    }

    #[test]
    fn reads_this_program() {
        let offsets = Offsets::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(offsets.of_address(0x10), Some(0x10), "{offsets:?}");
        assert!(Offsets::of(b"\x7fELF").is_none());
    }
}
