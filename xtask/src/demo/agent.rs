//! asyncscope, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use asyncscope_tests::paths;

use crate::process::run;

const WEIGHTS: [&str; 3] = ["busy", "wait", "wall"];

/// The files that come of it.
#[derive(Debug)]
pub(super) struct Files {
    flamegraph: PathBuf,
    recording: PathBuf,
    /// One object a line.
    pub(super) json: PathBuf,
    by_weight: Vec<ByWeight>,
}

#[derive(Debug)]
struct ByWeight {
    weight: &'static str,
    svg: PathBuf,
    folded: PathBuf,
}

impl Files {
    /// Their places in a folder.
    pub(super) fn in_folder(folder: &Path) -> Self {
        let by_weight = WEIGHTS.map(|weight| ByWeight {
            weight,
            svg: folder.join(format!("{weight}.svg")),
            folded: folder.join(format!("{weight}.folded")),
        });
        Self {
            flamegraph: folder.join("flamegraph.svg"),
            recording: folder.join("demo.ascope"),
            json: folder.join("demo.jsonl"),
            by_weight: by_weight.into(),
        }
    }

    /// Says where they are.
    pub(super) fn list(&self) {
        println!("\nflamegraph of the attach  {}", self.flamegraph.display());
        for ByWeight { weight, svg, folded } in &self.by_weight {
            println!("from the recording, {weight}  {}  {}", svg.display(), folded.display());
        }
        println!("recording                 {}", self.recording.display());
        println!("JSON, one object a line   {}", self.json.display());
    }
}

/// Watches the process for so long.
pub(super) fn attach(pid: u32, time: Duration, files: &Files) -> Result<()> {
    run(asyncscope()?
        .args(["attach", &pid.to_string(), "--duration", &format!("{}s", time.as_secs())])
        .args(["--weight", "busy", "--flamegraph"])
        .arg(&files.flamegraph)
        .arg("--record")
        .arg(&files.recording))
}

/// Makes everything else from the recording, and prints its summary.
pub(super) fn report(files: &Files) -> Result<()> {
    let report = || -> Result<Command> {
        let mut report = asyncscope()?;
        report.arg("report").arg(&files.recording);
        Ok(report)
    };
    for ByWeight { weight, svg, folded } in &files.by_weight {
        run(report()?.args(["--weight", weight, "--flamegraph"]).arg(svg).arg("--folded").arg(folded))?;
    }
    run(report()?.arg("--json").arg(&files.json))?;
    run(&mut report()?)
}

fn asyncscope() -> Result<Command> {
    Ok(Command::new(paths::agent()?))
}
