//! An executable or a library as a file: its sections and symbols, its debug info, its source lines.

pub mod debug;
pub mod elf;
pub mod found;
mod imports;
pub mod lines;
pub mod panic_location;
