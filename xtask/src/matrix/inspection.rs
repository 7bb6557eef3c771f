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
    pub(crate) types: Vec<Option<String>>,
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
    /// `Ok` with the place, or `Err` with the reason.
    #[serde(default)]
    running: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Type {
    /// `None` where nothing but its vtable names it.
    name: Option<String>,
    #[serde(default)]
    runtime: bool,
}

#[derive(Deserialize)]
struct Hook {
    sees: String,
    /// `None` where the hook is there.
    missing: Option<Missing>,
}

/// Why a hook is missing: a word, and the data of the case.
#[derive(Deserialize)]
struct Missing {
    why: String,
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
        let missing = hooks.into_iter().filter_map(|hook| Some((hook.sees, hook.missing?.why)));
        let name = |ty: Type| ty.name.or_else(|| ty.runtime.then(|| "tokio worker".to_owned()));
        Ok(Self {
            symbols: symbols > 0,
            running_known: running.contains_key("Ok"),
            types: types.into_iter().map(name).collect(),
            missing: missing.collect(),
        })
    }

    /// How many task types are named after their vtables only.
    pub(crate) fn unnamed(&self) -> usize {
        self.types.iter().filter(|name| name.is_none()).count()
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
        let text = r#"{"symbols":3,"running":{"Ok":{"below":8}},"types":[{"name":"svc::a"},{"name":null}],"hooks":[
            {"sees":"panic","image":0,"missing":{"why":"no-panic"}},{"sees":"wake","image":0,"address":7}]}"#;
        let inspection = Inspection::parse(text).unwrap();
        let missing = vec![("panic".to_owned(), "no-panic".to_owned())];
        let types = vec![Some("svc::a".to_owned()), None];
        assert_eq!(inspection, Inspection { symbols: true, types, running_known: true, missing });
        assert_eq!(inspection.unnamed(), 1);
        assert!(inspection.misses("panic") && !inspection.misses("wake"));
    }
}
