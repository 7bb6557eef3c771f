//! Task types by name: from symbols, said as a person would.

mod pretty;
mod symbols;

pub use pretty::future;
pub use symbols::{Named, demangled, kind_of, of_type};
