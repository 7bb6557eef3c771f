//! Source lines: the functions whose code lies at an address, those inlined there among them, with file and line.
//!
//! By debug info where there is any, else by the symbol whose function the address lies in.

use std::{
    borrow::Cow,
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use addr2line::{Context, Frame};
use gimli::{EndianArcSlice, LittleEndian};

use super::{debug::sections, elf::Elf};
use crate::{
    addr::{Bias, ElfAddr},
    names::demangled,
};
use asyncscope_trace::facts::{Function, FunctionName, INLINED_MAX, shortened};

type DwarfReader = EndianArcSlice<LittleEndian>;

/// The executable's code, by address in the target's memory.
pub struct Lines {
    bias: u64,
    /// The range its functions lie in.
    code: Range<u64>,
    debug: Option<Context<DwarfReader>>,
    /// Functions by start, with their lengths and mangled names.
    symbols: Vec<(u64, u64, String)>,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({} symbols, debug info: {})", self.symbols.len(), self.debug.is_some())
    }
}

impl Lines {
    /// Takes what it needs of the file.
    #[must_use]
    pub fn new(elf: &Elf<'_>, bias: Bias) -> Self {
        let symbols =
            elf.symbols().iter().map(|symbol| (symbol.address.0, length(elf, symbol.address, symbol.len), symbol));
        let symbols = symbols.map(|(start, len, symbol)| (start, len, symbol.name.to_owned())).collect();
        let functions = elf.functions();
        let end = functions.last().map_or(0, |last| last.start.0.saturating_add(last.len));
        let code = functions.first().map_or(0, |first| first.start.0)..end;
        Self { bias: bias.0, code, debug: context(elf.debug_data()), symbols }
    }

    /// The distance the executable was moved by.
    #[must_use]
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// The functions at an address in the executable's code: the innermost of those inlined there first. Empty
    /// where nothing names it.
    #[must_use]
    pub fn functions(&mut self, address: u64) -> Vec<Function> {
        let address = address.wrapping_sub(self.bias);
        if !self.code.contains(&address) {
            return Vec::new();
        }
        let mut found = self.by_debug_info(address);
        // Compiled without debug info, a function has at most a line.
        if found.last().is_none_or(|outermost| outermost.name.symbol().is_empty())
            && let Some((name, or_another)) = self.by_symbol(address)
        {
            let place = found.pop().unwrap_or_default();
            found.push(Function { name: FunctionName::Symbol(name), or_another, ..place });
        }
        found.retain(|function| !function.name.symbol().is_empty());
        found
    }

    /// Debug info is hostile, and read by code that checks its sums only in some builds: where it panics, names
    /// come from symbols from then on.
    fn by_debug_info(&mut self, address: u64) -> Vec<Function> {
        let Some(debug) = self.debug.take() else { return Vec::new() };
        let found = catch_unwind(AssertUnwindSafe(|| {
            let functions = inlined(&debug, address);
            (debug, functions)
        }));
        let Ok((debug, functions)) = found else { return Vec::new() };
        self.debug = Some(debug);
        functions
    }

    /// Returns a name, and whether there are others.
    fn by_symbol(&self, address: u64) -> Option<(String, bool)> {
        let after = self.symbols.partition_point(|&(start, ..)| start <= address);
        let (start, ..) = *self.symbols.get(after.checked_sub(1)?)?;
        let same = self.symbols[..after].iter().rev().take_while(|symbol| symbol.0 == start);
        let mut names = same.filter(|&&(start, len, _)| address - start < len).map(|(.., name)| name);
        // Code that was folded has all its names.
        let name = shown(names.next()?);
        Some((name, names.next().is_some()))
    }
}

/// Some symbols state no length: then the unwind table's counts.
fn length(elf: &Elf<'_>, address: ElfAddr, stated: u64) -> u64 {
    if stated > 0 { stated } else { elf.function_at(address).map_or(0, |function| function.len) }
}

fn context(data: &[u8]) -> Option<Context<DwarfReader>> {
    if !sections::has_info(data) {
        return None;
    }
    let own = |bytes: &Cow<'_, [u8]>| EndianArcSlice::new(Arc::from(&**bytes), LittleEndian);
    Context::from_dwarf(sections::load(data)?.borrow(own)).ok()
}

fn inlined(debug: &Context<DwarfReader>, address: u64) -> Vec<Function> {
    let Ok(mut frames) = debug.find_frames(address).skip_all_loads() else { return Vec::new() };
    let mut functions = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        functions.push(function(&frame));
        if functions.len() == INLINED_MAX {
            break;
        }
    }
    functions
}

fn function(frame: &Frame<'_, DwarfReader>) -> Function {
    let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
    let location = frame.location.as_ref();
    Function {
        name: name.map_or_else(FunctionName::default, |name| FunctionName::Symbol(shown(&name))),
        or_another: false,
        file: location.and_then(|place| place.file).map_or_else(String::new, |file| shortened(file).to_owned()),
        line: location.and_then(|place| place.line).unwrap_or(0),
    }
}

fn shown(name: &str) -> String {
    shortened(&demangled(name)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_code_may_be_another_function() {
        let symbols =
            [(10, 5, "a"), (10, 5, "b"), (20, 5, "c")].map(|(start, len, name)| (start, len, name.to_owned()));
        let mut lines = Lines { bias: 0, code: 0..100, debug: None, symbols: symbols.to_vec() };
        let function = |name: &str, or_another| Function { name: name.into(), or_another, ..Function::default() };
        assert_eq!(lines.functions(12), [function("b", true)]);
        assert_eq!(lines.functions(20), [function("c", false)]);
        assert_eq!(lines.functions(30), []);
    }

    #[test]
    fn this_very_function_is_found() {
        let data = std::fs::read("/proc/self/exe").unwrap();
        let elf = Elf::parse(&data).unwrap();
        let process = crate::process::Process::by_pid(std::process::id()).unwrap();
        let mut lines = Lines::new(&elf, process.bias(&elf).unwrap());
        let own = this_very_function_is_found as fn() as usize as u64;
        let functions = lines.functions(own + 1);
        let outermost = functions.last().unwrap();
        assert!(outermost.name.symbol().contains("this_very_function_is_found"), "{functions:?}");
        assert!(outermost.file.ends_with("lines.rs") && outermost.line > 100, "{functions:?}");
        assert!(lines.by_symbol(own.wrapping_sub(lines.bias) + 1).unwrap().0.contains("this_very_function"));
        assert_eq!(lines.functions(lines.bias.wrapping_sub(1)), []);
    }
}
