//! `test`: all tests, the live tier included.

use anyhow::Result;

use crate::process::{cargo, is_root, run as execute};

/// Targets are built as a user's release build is: without debug info, whatever this workspace's
/// own profile says.
pub(crate) const PLAIN_RELEASE: [&str; 4] = ["build", "--release", "--config", "profile.release.debug=false"];

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Further arguments of `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the live tests' targets and the agent, then runs every test.
///
/// # Errors
/// Where a build or a test fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    execute(cargo().args(PLAIN_RELEASE).args(["-p", "truth", "-p", "heads", "-p", "logs"]))?;
    execute(cargo().args(["build", "--profile", "typed", "-p", "waits", "-p", "liar"]))?;
    execute(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    if !is_root() {
        println!("not root: the live tests are counted as ignored");
    }
    execute(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(&options.rest))
}
