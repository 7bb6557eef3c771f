//! Function symbols of tokio and of what it leans on, by the ends of their names.

use std::collections::BTreeSet;

use crate::{
    addr::ElfAddr,
    image::elf::Elf,
    names::{demangled, inherent},
};

/// Symbols are looked for by the ends of their names, none of which is longer, in bytes.
const ENDING_MAX: usize = 80;

/// Function symbols by the end of their demangled names: all names together can be far longer than the
/// file, as symbols may share them.
pub(super) struct Symbols {
    /// The end of the name, the address and the length in bytes of each.
    pub(super) functions: Vec<(String, ElfAddr, u64)>,
    /// Set if any is of `LocalSet`'s module.
    pub(super) local: bool,
}

impl Symbols {
    pub(super) fn new(elf: &Elf<'_>) -> Self {
        let relevant = |name: &str| name.contains("tokio") || name.contains("rust_panic");
        let mut symbols = Self { functions: Vec::new(), local: false };
        for symbol in elf.symbols().iter().filter(|symbol| relevant(symbol.name)) {
            let name = inherent(&demangled(symbol.name));
            symbols.local |= name.contains("tokio::task::local::");
            symbols.functions.push((ending(&name), symbol.address, symbol.len));
        }
        symbols
    }

    pub(super) fn are_missing(&self) -> bool {
        self.functions.is_empty()
    }

    /// The functions whose name ends with one of these.
    pub(super) fn ending(&self, endings: &[&str]) -> Vec<ElfAddr> {
        let found = self.functions.iter().filter(|(name, ..)| endings.iter().any(|ending| name.ends_with(ending)));
        let addresses: BTreeSet<_> = found.map(|&(_, address, _)| address).collect();
        addresses.into_iter().collect()
    }

    pub(super) fn name_at(&self, address: ElfAddr) -> Option<&str> {
        self.functions.iter().find(|&&(_, at, _)| at == address).map(|(name, ..)| name.as_str())
    }
}

fn ending(name: &str) -> String {
    name[name.ceil_char_boundary(name.len().saturating_sub(ENDING_MAX))..].to_owned()
}
