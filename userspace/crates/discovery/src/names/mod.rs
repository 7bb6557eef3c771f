//! Task types by name: from symbols and debug info, said as a person would.

pub mod dwarf;
mod generics;
mod pretty;
mod symbols;

pub use generics::told_apart;
pub use pretty::{future, inherent};
pub use symbols::{Named, demangled, is_users_closure, kind_of, of_type};
