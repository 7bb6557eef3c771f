//! Await chains: which future of a task waits for which, down to what it waits for.
//!
//! A suspended future is a value in memory. A [`Program`] says where in it the state is, and for each state
//! where the future lies that it waits for: plain data, compiled once from debug info and independent of it
//! from then on. [`walk()`] runs it on a task's memory. docs/await-chains.md describes all of it.

mod holders;
mod names;
mod program;
pub mod ring;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod waits_for;
mod walk;

pub use names::{frame_name, leaf_names};
pub use program::{
    Discriminant, Edge, Hold, Layout, LayoutSource, Leaf, Number, Program, Share, Step, Unless, Variant, Waits,
};
pub use snapshot::{Snapshot, TaskSnapshot};
pub use walk::{Chain, Cut, Held, Kept, Node, Seen, walk};
