//! asyncscope, run as a user runs it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::seen::Seen;

/// Asks what can be seen.
pub(super) fn inspect(executable: &Path) -> Result<Inspection> {
    let found = Inspection::of(executable, &[])?;
    ensure!(found.polls().next().is_some(), "asyncscope finds no poll function in it");
    Ok(found)
}

/// asyncscope, attached.
#[derive(Debug)]
pub(super) struct Watching {
    agent: Agent,
    json: PathBuf,
}

impl Watching {
    /// Attaches; returns when the hooks are armed.
    pub(super) fn start(pid: u32, folder: &Path) -> Result<Self> {
        let (json, pid) = (folder.join("seen.jsonl"), pid.to_string());
        let (flamegraph, recording) = (folder.join("flamegraph.svg"), folder.join("seen.ascope"));
        let options = [("--json", &json), ("--flamegraph", &flamegraph), ("--record", &recording)];
        let options = options.iter().flat_map(|(option, file)| [option.as_ref(), file.as_os_str()]);
        let mut agent = Agent::start(["attach".as_ref(), pid.as_ref()].into_iter().chain(options))?;
        agent.armed()?;
        Ok(Self { agent, json })
    }

    /// Ends it; what it saw.
    pub(super) fn stop(self) -> Result<Seen> {
        self.agent.interrupt()?;
        Seen::read(&self.json)
    }
}
