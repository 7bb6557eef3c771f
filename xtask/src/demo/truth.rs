//! The two accounts of the same tasks: the service's own, and asyncscope's JSON.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A task by its own account; times in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Lived {
    pub(super) id: u64,
    pub(super) r#type: String,
    /// Whether it is a future that the task awaited, and not the task.
    pub(super) awaited: bool,
    /// `None`: no task spawned it.
    pub(super) parent: Option<u64>,
    pub(super) spawned_ns: u64,
    pub(super) end_ns: u64,
    pub(super) busy_ns: u64,
    pub(super) polls: u64,
}

impl Lived {
    /// From spawn to end, outside of polls.
    pub(super) fn wait_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.spawned_ns).saturating_sub(self.busy_ns)
    }
}

/// What asyncscope saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) armed_ns: u64,
    pub(super) end_ns: u64,
    pub(super) tasks: HashMap<u64, SeenTask>,
    pub(super) awaits: Vec<SeenAwait>,
}

/// What a task awaited, by one chain.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SeenAwait {
    pub(super) task: u64,
    pub(super) wait_ns: u64,
    pub(super) chain: Vec<SeenFrame>,
}

/// A future of a chain.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SeenFrame {
    /// In how many of the chain it lies.
    pub(super) depth: usize,
    pub(super) name: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// A task as asyncscope saw it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SeenTask {
    pub(super) task: u64,
    pub(super) r#type: String,
    pub(super) parent: Parent,
    /// `None`: its spawn was not seen.
    pub(super) born_ns: Option<u64>,
    /// `None`: it was alive at the end.
    pub(super) end: Option<serde::de::IgnoredAny>,
    pub(super) polls: u64,
    pub(super) busy_ns: u64,
    pub(super) ready_ns: u64,
    pub(super) waiting_ns: u64,
}

/// Who spawned a task.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Parent {
    Task(u64),
    Root(serde::de::IgnoredAny),
    Unknown(serde::de::IgnoredAny),
}

impl Default for Parent {
    fn default() -> Self {
        Self::Unknown(serde::de::IgnoredAny)
    }
}

#[derive(Deserialize)]
struct Recording {
    armed: Armed,
    end_ns: u64,
}

#[derive(Deserialize)]
struct Armed {
    monotonic_ns: u64,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

/// Reads the service's account.
pub(super) fn read_lived(path: &Path) -> Result<Vec<Lived>> {
    let mut lived = Vec::new();
    each_line(path, |line| {
        lived.push(parse(line)?);
        Ok(())
    })?;
    Ok(lived)
}

/// Reads asyncscope's account.
pub(super) fn read_seen(path: &Path) -> Result<Seen> {
    let mut seen = Seen::default();
    each_line(path, |line| seen.take(line))?;
    Ok(seen)
}

impl Seen {
    fn take(&mut self, line: &str) -> Result<()> {
        match parse::<Kind>(line)?.kind.as_str() {
            "recording" => {
                let recording: Recording = parse(line)?;
                (self.armed_ns, self.end_ns) = (recording.armed.monotonic_ns, recording.end_ns);
            }
            "task" => {
                let task: SeenTask = parse(line)?;
                self.tasks.insert(task.task, task);
            }
            "await" => self.awaits.push(parse(line)?),
            _ => {}
        }
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("not as expected: {line}"))
}

fn each_line(path: &Path, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    for line in BufReader::new(file).lines() {
        each(&line?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &str) {
        let mut seen = Seen::default();
        seen.take(line).unwrap();
        assert_eq!(format!("{:?}", seen.tasks.values().next().map(|task| &task.parent)), expected);
    }

    #[test]
    fn reads_asyncscopes_lines() {
        let task = |parent, rest| {
            format!(
                r#"{{"kind":"task","task":17,"type":"svc::fetch_user","parent":{parent},"polls":2,
                "busy_ns":1,"ready_ns":2,"waiting_ns":3,"later":true,{rest}}}"#
            )
        };
        let whole = r#""born_ns":5,"end":{"time_ns":9,"how":"completed"}"#;
        check(&task(r#"{"task":3}"#, whole), "Some(Task(3))");
        check(&task(r#"{"root":{"thread":1,"name":"m"}}"#, whole), "Some(Root(IgnoredAny))");
        check(&task(r#"{"unknown":"gap"}"#, r#""born_ns":null,"end":null"#), "Some(Unknown(IgnoredAny))");
        check(r#"{"kind":"poll","task":17}"#, "None");
        check(r#"{"kind":"recording","armed":{"monotonic_ns":1},"end_ns":2}"#, "None");
    }

    #[test]
    fn a_line_that_is_no_json_is_named() {
        let error = Seen::default().take("nonsense").unwrap_err();
        assert!(format!("{error:#}").contains("nonsense"));
    }
}
