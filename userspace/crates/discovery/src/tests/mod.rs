//! Discovery on images built in memory, and on the test executable itself.

mod abort;
mod asm;
mod bind;
mod calls;
mod coverage;
mod current_task;
mod damage;
mod descent;
mod elf;
mod entry;
mod flow;
mod h2;
mod image;
mod layout_from_code;
mod own;
mod queue;
mod raise;
mod resumed;
mod turns;
mod values;
mod vtables;
mod waker;
