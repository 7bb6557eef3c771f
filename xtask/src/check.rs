//! `check`: everything that can be said without running the code.

use anyhow::Result;

use crate::process::{self, cargo, on_path, root};
use crate::structure;

const PROBE: &str = "probe-ebpf/Cargo.toml";

/// Runs all checks; stops at the first that fails.
///
/// # Errors
/// Where a check fails.
pub(crate) fn run() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args(["fmt", "--check", "--manifest-path", PROBE]))?;
    structure::check()?;
    let deny = ["--", "-D", "warnings"];
    process::run(cargo().args(["clippy", "--workspace", "--all-targets"]).args(deny))?;
    // What takes spans has to be absent without them, not broken.
    process::run(cargo().args(["clippy", "--package", "asyncscope", "--no-default-features"]).args(deny))?;
    licences_and_advisories()?;
    let doc = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    process::run(cargo().args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    println!("check: passed");
    Ok(())
}

fn licences_and_advisories() -> Result<()> {
    if on_path("cargo-deny").is_none() {
        println!("check: licences and advisories skipped, `cargo install cargo-deny` brings them");
        return Ok(());
    }
    for manifest in ["Cargo.toml", PROBE] {
        let mut deny = cargo();
        deny.args(["deny", "--manifest-path", manifest, "check", "--config"]);
        process::run(deny.arg(root().join("deny.toml")))?;
    }
    Ok(())
}
