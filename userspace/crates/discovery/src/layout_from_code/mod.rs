//! The layouts of futures, derived from the machine code of their poll functions: the source where there is no type
//! information.
//!
//! What is claimed is proved from the code, or it is shown as not known; docs/await-chains.md has the argument for each
//! rule.

pub mod compare;
mod compile;
mod derive;
mod flow;
mod machine;
mod memory;
mod takes;
mod value;

use std::fmt;

use asyncscope_trace::chain::Program;

use crate::{code::x86_64::code::Code, tokio::vtables::Vtable};

/// Compiles what the code says about the futures of these task types. Addresses are the file's.
#[must_use]
pub fn compile(code: &Code<'_, '_>, vtables: &[Vtable]) -> Program {
    compile::CodeCompiler::new(code).compile(vtables)
}

impl fmt::Display for derive::NotKnown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Stopped(flow::Stop::Budget) => "not known: too much code",
            Self::Stopped(flow::Stop::Jump) => "not known: a jump that is not understood",
            Self::Stopped(flow::Stop::Call) => "not known: a call that is not understood",
            Self::Stopped(flow::Stop::NoCode) => "not known: code that cannot be read",
            Self::Several => "not known: one of several",
            Self::NotKept => "not known: nothing proves what it waits for",
            Self::TooDeep => "not known: too many cases",
        })
    }
}
