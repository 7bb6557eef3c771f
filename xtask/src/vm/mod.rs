//! `vm`: other kernels than this machine's, each booted in a virtual machine that runs a fixed part of the live
//! tests. The table goes into `docs/compatibility.md`.
//!
//! Nothing is installed, root is not needed, and no hardware help is used: qemu translates every instruction, so
//! no times are given.

mod archive;
mod guest;
mod machine;
mod outcome;
mod parts;

use std::fs;

use anyhow::{Result, ensure};

use crate::process::{cargo, root, run as execute};
use crate::test::PLAIN_RELEASE;
use outcome::Outcome;

/// The kernels: the oldest that is looked at, the long-term ones, and the newest there is.
///
/// <https://www.kernel.org/category/releases.html>
const KERNELS: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "7"];

/// The live tests that are run: the ways in which hooks are attached and events come through, and what differs
/// between kernels. Those that need other programs than a shell's, or thousands of rounds, are left out; `cargo xtask
/// test` runs all, under this machine's kernel.
const TESTS: [&str; 18] = [
    "attach::multi_thread",
    "attach::current_thread",
    "attach::local_set",
    "attach::blocking",
    "attach::panics",
    "attach::aborts",
    "attach::before_attach",
    "attach::names",
    "run::multi_thread",
    "one_by_one::multi_thread",
    "overrun::storm",
    "target_exits",
    "hard_life::forks",
    "hard_life::sealed",
    "guests::loaded_before",
    "heads::attach",
    "heads::tracepoints",
    "clock::steps",
];

/// Options of `vm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this kernel: the beginning of its version, such as `6.1`; the table's other rows stay.
    #[arg(long, value_name = "VERSION")]
    kernel: Option<String>,
    /// Only tests that begin so; the table stays as it is.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Builds, boots and compares.
///
/// # Errors
/// Where a part cannot be had or built, a kernel does not come up, or a test fails; the table is written all the
/// same.
pub(crate) fn run(options: &Options) -> Result<()> {
    let is_wanted = |kernel: &&str| options.kernel.as_ref().is_none_or(|only| only == *kernel);
    let kernels: Vec<&str> = KERNELS.into_iter().filter(is_wanted).collect();
    ensure!(!kernels.is_empty(), "the kernels are {}", KERNELS.join(", "));
    let folder = root().join("target/vm");
    fs::create_dir_all(&folder)?;
    let parts = parts::get(&folder)?;
    build()?;
    let tests = guest::tests(|name| match &options.only {
        Some(only) => name.starts_with(only.as_str()),
        None => TESTS.contains(&name),
    })?;
    ensure!(!tests.is_empty(), "there is no such test");
    let is_there = |test: &&&str| tests.iter().any(|there| there == **test);
    let all = options.only.is_some() || TESTS.iter().filter(is_there).count() == TESTS.len();
    ensure!(all, "of {TESTS:?} there are only {tests:?}");
    let initramfs = folder.join("initramfs");
    guest::write(&initramfs, &parts.busybox, &tests)?;
    let mut bad = Vec::new();
    for wanted in kernels {
        let log = folder.join(format!("{wanted}.log"));
        let outcome = parts::kernel(&folder, wanted).and_then(|kernel| {
            println!("vm: {} with {} tests, {}", kernel.version, tests.len(), log.display());
            machine::boot(&parts, &kernel, &initramfs, &log)?;
            Outcome::read(&kernel.version, &fs::read(&log)?)
        });
        match outcome {
            Ok(outcome) => {
                println!("vm: {outcome}");
                if options.only.is_none() {
                    outcome.put(wanted)?;
                }
                bad.extend(outcome.mistake());
            }
            Err(error) => bad.push(format!("{wanted}: {error:#}")),
        }
    }
    ensure!(bad.is_empty(), "{}", bad.join("; "));
    Ok(())
}

/// Returns what is put into the machine.
fn build() -> Result<()> {
    execute(cargo().args(PLAIN_RELEASE).args(["-p", "truth", "-p", "heads", "-p", "logs"]))?;
    execute(cargo().args(PLAIN_RELEASE).args(["-p", "guest"]))?;
    execute(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    execute(cargo().args(["test", "--no-run", "--quiet", "-p", "asyncscope-tests", "--test", "live"]))
}
