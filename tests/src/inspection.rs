//! What `asyncscope inspect --json` says of a program: its only reader here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::agent;

/// All that can be seen in a program.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Inspection {
    /// The id of its build, if it has one.
    #[serde(default)]
    pub build_id: Option<String>,
    /// The version of its tokio, if that is known.
    #[serde(default)]
    pub tokio: Option<String>,
    /// The number of its function symbols.
    #[serde(default)]
    pub symbols: usize,
    /// The way in which the starts of its functions are known.
    #[serde(default)]
    function_starts: BTreeMap<String, serde_json::Value>,
    /// Its task types, in the order of their vtables.
    #[serde(default)]
    pub types: Vec<TaskType>,
    /// The files that hooks are in: the executable first.
    #[serde(default)]
    pub images: Vec<PathBuf>,
    /// Its hooks, and those that are missing.
    pub hooks: Vec<Hook>,
    /// Everything that can, or cannot, be seen of it.
    #[serde(default)]
    pub abilities: Vec<Ability>,
    /// The place in which tokio keeps the running task's id, once that was observed.
    #[serde(default)]
    pub current_task: Option<serde_json::Value>,
    /// `Ok` with the place of the running task's id, or `Err` with the reason.
    #[serde(default)]
    running: BTreeMap<String, serde_json::Value>,
}

/// A task type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TaskType {
    /// Its name; `None` where nothing but its vtable names it.
    pub name: Option<String>,
    /// The address of its vtable.
    #[serde(default)]
    pub vtable: u64,
    /// It may also be another future with the same code.
    #[serde(default)]
    pub or_another: bool,
    /// The `async` body that its polls resume.
    #[serde(default)]
    pub body: Option<AsyncBody>,
    /// It is one of tokio's own.
    #[serde(default)]
    pub runtime: bool,
}

/// An `async` body, by what its panics state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AsyncBody {
    /// The place where it begins.
    pub place: SourcePlace,
    /// `alone`, or `inside` a future that does more.
    pub stands: String,
}

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourcePlace {
    /// The path, from the crate on.
    pub file: String,
    /// The line.
    pub line: usize,
}

/// A hook, or one that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hook {
    /// The kind of event that it sees.
    pub sees: String,
    /// Its place among the images.
    #[serde(default)]
    pub image: usize,
    /// The ELF address of its instruction; `None` where the hook is missing.
    pub address: Option<u64>,
    /// The reason why it is missing; `None` where it is there.
    missing: Option<Missing>,
}

/// A reason: a word, and the data of the case, which is not read here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Missing {
    why: String,
}

/// Something that can, or cannot, be seen of a program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ability {
    /// A word for it.
    pub what: String,
    /// `yes`, or something else.
    pub works: String,
}

impl Inspection {
    /// Inspects a file or a process, with these options.
    ///
    /// # Errors
    ///
    /// If the agent cannot.
    pub fn of(target: impl AsRef<OsStr>, options: &[&OsStr]) -> Result<Self> {
        let ended = inspect(target.as_ref(), options)?;
        ensure!(ended.code == Some(0), "inspect failed: {:?}", ended.stderr);
        Self::parse(&ended.stdout.concat())
    }

    /// Inspects a file with that of its symbols, if there is one.
    ///
    /// # Errors
    ///
    /// If the agent cannot.
    pub fn with_debug_file(program: &Path, debug_file: Option<&Path>) -> Result<Self> {
        let options = debug_file.map(|file| ["--debug-file".as_ref(), file.as_os_str()]);
        Self::of(program, options.as_ref().map_or(&[], |options| &options[..]))
    }

    /// Inspects a file in which there may be no tasks: nothing is found then.
    ///
    /// # Errors
    ///
    /// If the agent cannot be run.
    pub fn of_any(program: &Path) -> Result<Self> {
        let ended = inspect(program.as_ref(), &[])?;
        Ok(Self::parse(&ended.stdout.concat()).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("`inspect --json` says something else")
    }

    /// Iterates over the entries of poll functions where polls are seen to begin, as ELF addresses.
    pub fn polls(&self) -> impl Iterator<Item = u64> {
        self.hooks.iter().filter(|hook| hook.sees == "poll-start").filter_map(|hook| hook.address)
    }

    /// Returns how many task types are named after their vtables only.
    #[must_use]
    pub fn unnamed(&self) -> usize {
        self.types.iter().filter(|ty| ty.called().is_none()).count()
    }

    /// Says whether it is known where tokio keeps the running task's id.
    #[must_use]
    pub fn running_known(&self) -> bool {
        self.running.contains_key("Ok")
    }

    /// Says whether a hook of this kind is missing.
    #[must_use]
    pub fn misses(&self, sees: &str) -> bool {
        self.missing().any(|hook| hook.sees == sees)
    }

    /// Returns the number of functions that were found without unwind tables; 0 where these have all that is needed.
    #[must_use]
    pub fn functions_found(&self) -> u64 {
        self.function_starts.get("found").and_then(serde_json::Value::as_u64).unwrap_or_default()
    }

    /// Iterates over the hooks that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(|hook| hook.missing.is_some())
    }
}

impl TaskType {
    /// Returns what it is called, where that is more than a number.
    #[must_use]
    pub fn called(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.runtime.then_some("tokio worker"))
    }
}

impl Hook {
    /// Words what is missing and why.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{}: {}", self.sees, self.missing.as_ref().map_or("", |missing| &missing.why))
    }
}

fn inspect(target: &OsStr, options: &[&OsStr]) -> Result<agent::Ended> {
    agent::run(["inspect".as_ref(), "--json".as_ref(), target].iter().chain(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_inspect_says() {
        let text = r#"{"tokio":null,"symbols":3,"running":{"Ok":{"below":8}},"types":[{"name":"svc::a"},{"name":null},
            {"name":null,"runtime":true}],"images":["/svc","/lib/libx.so"],"hooks":[
            {"sees":"panic","image":0,"missing":{"why":"no-panic"}},{"sees":"wake","image":1,"address":7},
            {"sees":"poll-start","image":0,"address":2},{"sees":"poll-start","image":0,"missing":{"why":"x"}}]}"#;
        let inspection = Inspection::parse(text).unwrap();
        assert!(inspection.running_known() && inspection.tokio.is_none() && inspection.build_id.is_none());
        assert_eq!((inspection.symbols, inspection.types.len(), inspection.unnamed()), (3, 3, 1));
        assert!(inspection.misses("panic") && !inspection.misses("wake"));
        assert_eq!(inspection.polls().collect::<Vec<_>>(), [2]);
        assert_eq!(inspection.missing().next().unwrap().reason(), "panic: no-panic");
        assert_eq!(inspection.images[inspection.hooks[1].image], Path::new("/lib/libx.so"));
    }

    #[test]
    fn what_is_no_inspection() {
        assert!(Inspection::parse("").is_err());
        assert!(Inspection::parse(r#"{"hooks":[{"address":1}]}"#).is_err());
    }
}
