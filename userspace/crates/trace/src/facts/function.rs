//! Functions of the target, as stacks name them.

/// The most functions that are inlined into one another at an address.
pub const INLINED_MAX: usize = 24;
/// The longest name of a function, and of a file, in bytes.
pub const NAME_MAX: usize = 512;

/// A function whose code lies at an address, or that is inlined there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Its name, as a person would call it. At most [`NAME_MAX`] bytes, as is `file`.
    pub name: String,
    /// Set if it may also be another function with the same code.
    pub or_another: bool,
    /// The source file; empty where it is not known.
    pub file: String,
    /// The line; 0 where it is not known.
    pub line: u32,
}

/// As much of a text as a record has room for.
#[must_use]
pub fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_MAX)]
}
