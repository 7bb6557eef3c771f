//! `demo`: a small service under load, profiled as a user would, and held against its own truth.

mod agent;
mod compare;
mod service;
mod table;
mod truth;
mod waits;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use asyncscope_tests::seen::Seen;

use crate::process::{cargo, is_root, root, run as execute};
use agent::Files;
pub(crate) use service::Service;

/// The load lasts longer than it is watched, so that it is there from the first second to the last.
const LOAD: Duration = Duration::from_secs(8);
const BEFORE_ATTACH: Duration = Duration::from_secs(1);
const WATCHED: Duration = Duration::from_secs(5);

/// Profiles the demo service, and compares.
///
/// # Errors
/// Where this is not root, a part fails, or asyncscope and the service disagree.
pub(crate) fn run() -> Result<()> {
    ensure!(is_root(), "the demo attaches eBPF probes: run it as root");
    // Optimised as a release build is; await chains need the type information.
    execute(cargo().args(["build", "--profile", "typed", "-p", "demo-service"]))?;
    execute(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    let folder = folder()?;
    let files = Files::in_folder(&folder);
    let truth = folder.join("truth.jsonl");

    let service = Service::start("typed", &truth)?;
    let load = service.load(LOAD)?;
    thread::sleep(BEFORE_ATTACH);
    agent::attach(service.pid(), WATCHED, &files)?;
    let load = load.end()?;
    let reported = service.stop()?;

    agent::report(&files)?;
    println!("\nthe load: {load}\nwhat the service says of its whole life:");
    reported.iter().for_each(|line| println!("  {line}"));
    let seen = Seen::read(&files.json)?;
    let lived = truth::read(&truth)?;
    let comparison = compare::compare(&lived, &seen);
    println!("\nthe tasks that asyncscope saw from spawn to end, against what they measured themselves:");
    print!("{comparison}");
    let waits = waits::compare(&lived, &seen);
    println!("\nwhat requests for a summary awaited, against the handler's own stopwatch:\n{waits}");
    files.list();
    comparison.verdict()?;
    waits.verdict()
}

/// An empty folder for what comes of it.
fn folder() -> Result<PathBuf> {
    let folder = root().join("target/demo");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
