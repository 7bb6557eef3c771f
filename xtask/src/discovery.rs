//! `discovery`: what it costs to find all there is in an executable, beside `readelf`'s passes over the
//! same file. The figures go into `docs/discovery.md`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use asyncscope_tests::inspection::Inspection;
use asyncscope_tests::paths;

use crate::document;
use crate::process::{cargo, output, root, run as execute};

/// The number of times each is run; the median counts.
const TIMES: usize = 5;
const HEAD: &str = "| file | task types | `inspect`, nothing kept | `inspect`, plan kept | `readelf -aW` | \
                    `readelf --debug-dump=info` |\n| --- | --- | --- | --- | --- | --- |\n";

/// Options of `discovery`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Executables, instead of the truth program and asyncscope, built without optimisation and with full
    /// debug info
    files: Vec<PathBuf>,
}

/// Measures, prints and writes the table.
///
/// # Errors
/// Where something cannot be built or run.
pub(crate) fn run(options: &Options) -> Result<()> {
    let files = if options.files.is_empty() { built()? } else { options.files.clone() };
    let rows = files.iter().map(|file| row(file)).collect::<Result<Vec<_>>>()?;
    let rustc = output(Command::new("rustc").arg("-V"))?;
    let table = format!("Built by {}; medians of {TIMES}.\n\n{HEAD}{}", rustc.trim(), rows.concat());
    print!("{table}");
    if options.files.is_empty() {
        document::put(&root().join("docs/discovery.md"), "discovery", &table)?;
    }
    Ok(())
}

fn built() -> Result<Vec<PathBuf>> {
    let target = root().join("target/discovery");
    let mut build = cargo();
    build.args(["build", "--config", "profile.dev.debug=\"full\"", "-p", "truth", "-p", "asyncscope"]);
    execute(build.arg("--target-dir").arg(&target))?;
    Ok(["truth", "asyncscope"].map(|name| target.join("debug").join(name)).to_vec())
}

fn row(file: &Path) -> Result<String> {
    let agent = paths::agent()?;
    let inspect = || {
        let mut command = Command::new(&agent);
        command.args(["inspect", "--json"]).arg(file);
        command
    };
    let said = Inspection::of_any(file)?;
    let kept = said.build_id.map(|id| format!("/var/cache/asyncscope/{id}.plan"));
    let readelf = |option: &str| {
        median(
            || Ok(()),
            || {
                let mut command = Command::new("readelf");
                command.arg(option).arg(file);
                command
            },
        )
    };
    let fresh = median(|| kept.as_deref().map_or(Ok(()), forget), inspect)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let megabytes = fs::metadata(file)?.len() as f64 / 1e6;
    Ok(format!(
        "| {name}, {megabytes:.1} MB | {} | {fresh} | {} | {} | {} |\n",
        said.types.len(),
        median(|| Ok(()), inspect)?,
        readelf("-aW")?,
        readelf("--debug-dump=info")?,
    ))
}

fn forget(plan: &str) -> Result<()> {
    match fs::remove_file(plan) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {plan}"))
        }
        _ => Ok(()),
    }
}

/// Time and memory of a command.
fn median(prepare: impl Fn() -> Result<()>, command: impl Fn() -> Command) -> Result<String> {
    let mut runs = Vec::new();
    for _ in 0..TIMES {
        prepare()?;
        runs.push(measured(&mut command())?);
    }
    runs.sort_unstable();
    let (time, kibibytes) = runs[TIMES / 2];
    Ok(format!("{:.2} s, {} MiB", time.as_secs_f64(), kibibytes >> 10))
}

/// Returns how long the command takes, and the most memory it has at a time, in KiB.
fn measured(command: &mut Command) -> Result<(Duration, i64)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    let pid = libc::pid_t::try_from(child.id()).context("no such process id")?;
    let mut status = 0;
    // SAFETY: plain old data, for which zeroes are a value.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the types that the call writes.
    let ended = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) };
    ensure!(ended == pid, "cannot wait for {}", command.get_program().display());
    Ok((start.elapsed(), used.ru_maxrss))
}
