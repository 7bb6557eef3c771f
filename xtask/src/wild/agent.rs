//! asyncscope, run as a user runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::seen::{self, Seen};
use crate::child::Running;
use crate::process::{output, root};

const ARM_MAX: Duration = Duration::from_secs(60);

/// What `inspect` says of a program.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    pub(super) tokio: Option<String>,
    /// How many function symbols it has.
    pub(super) symbols: usize,
    pub(super) types: Vec<IgnoredAny>,
    hooks: Vec<Hook>,
}

#[derive(Debug, Deserialize)]
struct Hook {
    sees: String,
    /// The instruction's ELF address; `None` where the hook is missing.
    address: Option<u64>,
}

/// Asks what can be seen.
pub(super) fn inspect(executable: &Path) -> Result<Found> {
    let told = output(asyncscope().args(["inspect", "--json"]).arg(executable))?;
    let found: Found = serde_json::from_str(&told).context("`inspect --json` tells something else")?;
    ensure!(found.polls().next().is_some(), "asyncscope finds no poll function in it");
    Ok(found)
}

impl Found {
    /// Where `raw::poll` can be seen to be entered, as ELF addresses.
    pub(super) fn polls(&self) -> impl Iterator<Item = u64> {
        self.hooks.iter().filter(|hook| hook.sees == "poll-start").filter_map(|hook| hook.address)
    }
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
        let told = r#"{"tokio":null,"symbols":0,"types":[{},{}],"hooks":[{"sees":"wake","address":1},
            {"sees":"poll-start","address":2},{"sees":"poll-start","address":null}]}"#;
        let found: Found = serde_json::from_str(told).unwrap();
        assert_eq!((found.types.len(), found.polls().collect::<Vec<_>>()), (2, vec![2]));
    }
}
