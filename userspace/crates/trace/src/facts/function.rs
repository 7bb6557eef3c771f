//! Functions of the target, as stacks name them.

/// The most functions that are inlined into one another at an address.
pub const INLINED_MAX: usize = 24;
/// The longest name of a function, and of a file, in bytes.
pub const NAME_MAX: usize = 512;

/// A function whose code lies at an address, or that is inlined there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// Set if it may also be another function with the same code.
    pub or_another: bool,
    /// The source file, at most [`NAME_MAX`] bytes of it; empty where it is not known.
    pub file: String,
    /// The line; 0 where it is not known.
    pub line: u32,
}

/// The name of a function, or where its code lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FunctionName {
    /// The name as a person would say it, at most [`NAME_MAX`] bytes.
    Symbol(String),
    /// No symbol and no debug info names it.
    Unnamed {
        /// The last part of the path of the file whose code it is, at most [`NAME_MAX`] bytes.
        module: String,
        /// The address at which it starts, as the file has it; where no unwind table tells that, the code's own.
        start: u64,
    },
}

impl FunctionName {
    /// Returns the name that a symbol or debug info gives; empty where none does.
    #[must_use]
    pub fn symbol(&self) -> &str {
        match self {
            Self::Symbol(name) => name,
            Self::Unnamed { .. } => "",
        }
    }
}

impl Default for FunctionName {
    fn default() -> Self {
        Self::Symbol(String::new())
    }
}

impl From<&str> for FunctionName {
    fn from(name: &str) -> Self {
        Self::Symbol(name.to_owned())
    }
}

/// As much of a text as a record has room for.
#[must_use]
pub fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_MAX)]
}
