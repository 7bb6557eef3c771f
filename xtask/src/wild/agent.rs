//! asyncscope, run as a user runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::child::Running;
use super::seen::{self, Seen};
use crate::process::{output, root};

const ARM_MAX: Duration = Duration::from_secs(60);

/// What `inspect` says of a program.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) tokio: String,
    pub(super) stripped: bool,
    pub(super) types: usize,
    /// Where `raw::poll` can be seen to be entered: ELF addresses in hexadecimal, with `0x`.
    pub(super) polls: Vec<String>,
}

/// Asks what can be seen.
pub(super) fn inspect(executable: &Path) -> Result<Found> {
    let told = output(asyncscope().args(["inspect", "--verbose"]).arg(executable))?;
    let found = Found::read(&told);
    ensure!(!found.polls.is_empty(), "asyncscope finds no poll function in it");
    Ok(found)
}

impl Found {
    fn read(told: &str) -> Self {
        let mut found = Self::default();
        for line in told.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("tokio"), Some(version)) => found.tokio = version.to_owned(),
                (Some("symbols"), Some(symbols)) => found.stripped = symbols.starts_with("none"),
                (Some("poll-start"), Some(address)) if address.starts_with("0x") => {
                    found.polls.push(address.to_owned())
                }
                (Some("task"), Some("types")) => found.types = words.next().and_then(in_brackets).unwrap_or_default(),
                _ => {}
            }
        }
        found
    }
}

fn in_brackets(word: &str) -> Option<usize> {
    word.strip_prefix('(')?.strip_suffix(')')?.parse().ok()
}

/// asyncscope, attached.
#[derive(Debug)]
pub(super) struct Watching {
    running: Running,
    json: PathBuf,
}

impl Watching {
    /// Attaches; returns when the hooks are armed.
    pub(super) fn start(pid: u32, folder: &Path) -> Result<Self> {
        let (json, told) = (folder.join("seen.jsonl"), folder.join("asyncscope.txt"));
        let mut attach = asyncscope();
        attach.args(["attach", &pid.to_string(), "--json"]).arg(&json);
        attach.arg("--flamegraph").arg(folder.join("flamegraph.svg"));
        attach.arg("--record").arg(folder.join("seen.ascope"));
        let mut running = Running::start(attach.stderr(File::create(&told)?))?;
        let armed = || fs::read_to_string(&told).ok().filter(|told| told.contains("hooks armed"));
        let armed = running.until("asyncscope was attached", ARM_MAX, armed);
        armed.with_context(|| fs::read_to_string(&told).unwrap_or_default())?;
        Ok(Self { running, json })
    }

    /// Ends it; what it saw.
    pub(super) fn stop(self) -> Result<Seen> {
        let status = self.running.interrupt()?;
        ensure!(status.success(), "asyncscope failed: {status}");
        seen::read(&self.json)
    }
}

fn asyncscope() -> Command {
    Command::new(root().join("target/release/asyncscope"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_inspect_says() {
        let told = "/x\n  tokio      1.51.1\n  symbols    none: by vtable\n\ntask types (3)\n  unknown  task#1\n\nhooks\n  \
                    poll-start      0x500  emulated  push %rbx  how\n  poll-start missing: why\n";
        let expected = Found { tokio: "1.51.1".into(), stripped: true, types: 3, polls: vec!["0x500".into()] };
        assert_eq!(Found::read(told), expected);
    }
}
