//! Discovery on images built in memory, and on the test executable itself.

mod abort;
mod asm;
mod bind;
mod damage;
mod elf;
mod entry;
mod flow;
mod image;
mod own;
mod values;
mod vtables;
mod waker;
