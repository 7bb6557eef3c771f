//! What `asyncscope inspect` says of a program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use asyncscope_tests::paths;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::process::output;

/// What can be seen in a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Whether it has symbols.
    pub(crate) symbols: bool,
    /// The names of its task types, in the order of their vtables.
    pub(crate) types: Vec<String>,
    /// Whether it is known where tokio keeps the running task's id.
    pub(crate) running_known: bool,
    /// What is missing: what it would see, and why it is not there.
    pub(crate) missing: Vec<(String, String)>,
}

/// What is read of `inspect`'s JSON.
#[derive(Deserialize)]
struct Said {
    symbols: usize,
    types: Vec<Type>,
    hooks: Vec<Hook>,
    /// `Ok` with the place, or `Err` with a sentence.
    #[serde(default)]
    running: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Type {
    name: String,
}

#[derive(Deserialize)]
struct Hook {
    sees: String,
    address: Option<u64>,
    how: String,
}

impl Inspection {
    /// Inspects, with this file of its symbols if there is one.
    ///
    /// # Errors
    /// Where asyncscope cannot.
    pub(crate) fn of(program: &Path, debug_file: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command.args(["inspect", "--json"]).arg(program);
        if let Some(file) = debug_file {
            command.arg("--debug-file").arg(file);
        }
        Self::parse(&output(&mut command)?)
    }

    fn parse(text: &str) -> Result<Self> {
        let Said { symbols, types, hooks, running } = serde_json::from_str(text).context("inspect says no JSON")?;
        let missing = hooks.into_iter().filter(|hook| hook.address.is_none());
        Ok(Self {
            symbols: symbols > 0,
            running_known: running.contains_key("Ok"),
            types: types.into_iter().map(|ty| ty.name).collect(),
            missing: missing.map(|hook| (hook.sees, hook.how)).collect(),
        })
    }

    /// How many task types are named after their vtables only.
    pub(crate) fn unnamed(&self) -> usize {
        self.types.iter().filter(|name| name.starts_with("task#")).count()
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
        let text = r#"{"symbols":3,"running":{"Ok":{"below":8}},"types":[{"name":"svc::a"},{"name":"task#1f"}],"hooks":[
            {"sees":"panic","address":null,"how":"no symbol"},{"sees":"wake","address":7,"how":"exchange"}]}"#;
        let inspection = Inspection::parse(text).unwrap();
        let missing = vec![("panic".to_owned(), "no symbol".to_owned())];
        let types = vec!["svc::a".to_owned(), "task#1f".to_owned()];
        assert_eq!(inspection, Inspection { symbols: true, types, running_known: true, missing });
        assert_eq!(inspection.unnamed(), 1);
        assert!(inspection.misses("panic") && !inspection.misses("wake"));
    }
}
