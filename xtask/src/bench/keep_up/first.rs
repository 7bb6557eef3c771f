//! How long it takes from the agent's start to the first event that it records, in a small program and in a large one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::held::Held;
use asyncscope_tests::inspection::Inspection;

use super::super::build::Build;
use super::super::clock::monotonic;
use super::super::service::{Around, Loaded, Service};
use super::super::tool::Tool;
use super::{fresh, size};
use crate::process::{cargo, root, run};

/// The number of times each is done; the median counts.
const TIMES: usize = 5;
/// The large program has at least this many bytes.
const LARGE: u64 = 50_000_000;
/// The time that is recorded at least.
const RECORDED: Duration = Duration::from_millis(200);

/// Returns where the service is built with OpenTelemetry, without optimisation and with full debug info.
fn large() -> PathBuf {
    root().join("target/discovery/debug")
}

fn built() -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--config", "profile.dev.debug=\"full\"", "-p", "bench-service"]);
    build.args(["--features", "bench-service/otel", "--target-dir"]);
    run(build.arg(root().join("target/discovery")))
}

/// Builds, measures and reports.
///
/// # Errors
/// Where a part fails.
pub(super) fn table(around: &Around) -> Result<String> {
    built()?;
    let mut table =
        "From the agent's start to the first event that it recorded, of 100 000 tasks that wake up every two seconds; \
                     medians of 5:\n\n| program | nothing kept | plan kept |\n| --- | --- | --- |\n"
            .to_owned();
    for (what, folder) in [
        ("release build", Build::Plain.folder()),
        ("with OpenTelemetry, without optimisation, full debug info", large()),
    ] {
        let bytes = size(&folder.join("bench-service"))?;
        ensure!(what == "release build" || bytes >= LARGE, "the large program has {bytes} bytes");
        let service = Loaded::start(Service::Idle, &folder, around)?;
        let plan = plan(&folder.join("bench-service"))?;
        let median = |keep: bool| -> Result<f64> {
            let mut times =
                (0..TIMES).map(|_| one(&service, around, (!keep).then_some(&*plan))).collect::<Result<Vec<_>>>()?;
            times.sort_unstable();
            Ok(times[TIMES / 2].as_secs_f64())
        };
        let (nothing, kept) = (median(false)?, median(true)?);
        table += &format!("| bench-service, {:.1} MB, {what} | {nothing:.2} s | {kept:.2} s |\n", bytes as f64 / 1e6);
    }
    Ok(table)
}

/// Returns where the agent keeps its plan for a file.
fn plan(file: &Path) -> Result<PathBuf> {
    let id = Inspection::of(file, &[])?.build_id.context("a program without a build id")?;
    Ok(Path::new("/var/cache/asyncscope").join(format!("{id}.plan")))
}

/// Returns how long it takes once, with this plan forgotten.
fn one(service: &Loaded, around: &Around, forget: Option<&Path>) -> Result<Duration> {
    if let Some(plan) = forget.filter(|plan| plan.exists()) {
        fs::remove_file(plan)?;
    }
    let recording = fresh(&around.scratch)?;
    let start = monotonic()?;
    let agent = Tool::recording(service.pid(), &recording, &around.scratch)?;
    std::thread::sleep(RECORDED);
    agent.detach()?;
    let first = Held::read(&recording)?.first_ns.context("no event was recorded")?;
    fs::remove_file(&recording)?;
    Duration::from_nanos(first).checked_sub(start).context("an event from before the agent's start")
}
