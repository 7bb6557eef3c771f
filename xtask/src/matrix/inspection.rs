//! What `asyncscope inspect` says of a program.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use asyncscope_tests::paths;

use crate::process::output;

/// What can be seen in a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Whether it has symbols.
    pub(crate) symbols: bool,
    /// Its task types.
    pub(crate) types: usize,
    /// Those that are named after their vtables only.
    pub(crate) unnamed: usize,
    /// What is missing: what it would see, and why it is not there.
    pub(crate) missing: Vec<(String, String)>,
}

impl Inspection {
    /// Inspects.
    ///
    /// # Errors
    /// Where asyncscope cannot.
    pub(crate) fn of(program: &Path) -> Result<Self> {
        Ok(Self::parse(&output(Command::new(paths::agent()?).arg("inspect").arg(program))?))
    }

    fn parse(text: &str) -> Self {
        let mut all = Self::default();
        let mut in_types = false;
        for line in text.lines() {
            in_types = line.starts_with("task types") || in_types && !line.is_empty();
            if in_types && line.starts_with("  ") {
                all.types += 1;
                all.unnamed += usize::from(line.contains(" task#"));
            } else if let Some(symbols) = line.trim_start().strip_prefix("symbols ") {
                all.symbols = symbols.trim() == "yes";
            } else if let Some((sees, why)) = line.split_once(" missing: ") {
                all.missing.push((sees.trim().to_owned(), why.to_owned()));
            }
        }
        all
    }

    /// Whether a hook of this kind is missing.
    pub(crate) fn misses(&self, sees: &str) -> bool {
        self.missing.iter().any(|(missing, _)| missing == sees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_inspect_says() {
        let text = "/a\n  symbols    none: so\n\ntask types (2)\n  spawned   svc::a\n  unknown   task#1f\n\nhooks\n  \
                    panic      missing: no symbol\n  wake          2 (2 emulated)";
        let inspection = Inspection::parse(text);
        let missing = vec![("panic".to_owned(), "no symbol".to_owned())];
        assert_eq!(inspection, Inspection { symbols: false, types: 2, unnamed: 1, missing });
        assert!(inspection.misses("panic") && !inspection.misses("wake"));
    }
}
