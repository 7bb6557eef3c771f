//! asyncscope's JSON, as far as it is compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What asyncscope saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Since when and until when, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) armed_ns: u64,
    pub(super) end_ns: u64,
    /// Events that are missing.
    pub(super) lost: u64,
    /// By id.
    pub(super) tasks: BTreeMap<u64, Task>,
}

/// A task.
#[derive(Debug, Default)]
pub(super) struct Task {
    pub(super) ty: String,
    pub(super) polls: u64,
    pub(super) parent_known: bool,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Recording {
        armed: Armed,
        end_ns: u64,
        totals: Totals,
    },
    Task {
        task: u64,
        r#type: String,
        parent: BTreeMap<String, serde::de::IgnoredAny>,
        polls: u64,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Armed {
    monotonic_ns: u64,
}

#[derive(Deserialize)]
struct Totals {
    lost: u64,
}

/// Reads the file.
pub(super) fn read(json: &Path) -> Result<Seen> {
    let file = File::open(json).with_context(|| format!("{} cannot be read", json.display()))?;
    let mut seen = Seen::default();
    for line in BufReader::new(file).lines() {
        seen.take(&line?)?;
    }
    Ok(seen)
}

impl Seen {
    fn take(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line).with_context(|| format!("not as expected: {line}"))? {
            Line::Recording { armed, end_ns, totals } => {
                (self.armed_ns, self.end_ns, self.lost) = (armed.monotonic_ns, end_ns, totals.lost);
            }
            Line::Task { task, r#type, parent, polls } => {
                let parent_known = !parent.contains_key("unknown");
                self.tasks.insert(task, Task { ty: r#type, polls, parent_known });
            }
            Line::Other => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parent: &str, expected: bool) {
        let mut seen = Seen::default();
        let line = format!(r#"{{"kind":"task","task":3,"type":"t","parent":{parent},"polls":2}}"#);
        seen.take(&line).unwrap();
        assert_eq!(seen.tasks[&3].parent_known, expected);
    }

    #[test]
    fn reads_tasks() {
        check(r#"{"task":1}"#, true);
        check(r#"{"unknown":"unseen"}"#, false);
        check(r#"{"root":{"thread":1,"name":null}}"#, true);
    }
}
