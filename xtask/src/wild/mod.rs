//! `wild`: published programs that nobody here wrote, profiled as their authors ship them. asyncscope's
//! polls are held against those that bpftrace counts at the same functions meanwhile.

mod agent;
mod bpftrace;
mod compare;
mod drive;
mod offsets;
mod programs;
mod table;
mod unwinding;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::document;
use crate::process::{cargo, is_root, on_path, root, run as execute};
use compare::Comparison;
use programs::{PROGRAMS, Program};
use table::Row;

pub(crate) use unwinding::run as compare_unwinding;

/// Options of `wild`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these programs, by crate
    names: Vec<String>,
}

/// Installs the programs, profiles each, and compares.
///
/// # Errors
/// Where this is not root, bpftrace is missing, a part fails, or the two counts disagree.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(is_root(), "`wild` attaches eBPF probes: run it as root");
    ensure!(on_path("bpftrace").is_some(), "bpftrace is missing: `apt-get install bpftrace` brings it");
    execute(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    let wanted = |program: &&Program| options.names.is_empty() || options.names.iter().any(|name| name == program.name);
    let mut rows = Vec::new();
    for program in PROGRAMS.iter().filter(wanted) {
        rows.push(one(program).with_context(|| program.name.to_owned())?);
    }
    ensure!(!rows.is_empty(), "none of the programs has such a name");
    table::print(&rows);
    if rows.len() == PROGRAMS.len() {
        document::put(&root().join("docs/discovery.md"), "wild", &table::markdown(&rows))?;
    }
    rows.iter().try_for_each(|row| row.comparison.verdict().with_context(|| row.name))
}

fn one(program: &Program) -> Result<Row> {
    program.install()?;
    let folder = folder(program)?;
    let executable = program.executable();
    let found = agent::inspect(&executable)?;
    let server = program.start(&folder)?;
    let counting = bpftrace::Counting::start(&executable, &found, &folder, &server)?;
    let watching = agent::Watching::start(server.pid(), &folder)?;
    let requests = server.drive()?;
    let seen = watching.stop()?;
    let counted = counting.stop()?;
    let comparison = Comparison::of(&seen, &counted);
    Ok(Row { name: program.name, version: program.version, requests, found, comparison, folder })
}

/// An empty folder for what comes of it.
fn folder(program: &Program) -> Result<PathBuf> {
    let folder = root().join("target/wild").join(program.name).join("seen");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
