//! `chains`: the live tests of await chains at length, with each compiler that is installed, and with each tokio
//! of the matrix.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::matrix;
use crate::process::{cargo, is_root, root, run as execute};

/// The number of dumps of a program that is busy.
const DUMPS: &str = "10000";
/// The number of dumps for each further tokio.
const FEW_DUMPS: &str = "500";
/// Compilers whose debug info the layouts are read from, as rustup calls them.
const TOOLCHAINS: [&str; 2] = ["stable", "nightly"];

/// Builds the target with each toolchain and each tokio, and runs the tests on each.
///
/// # Errors
/// Where this is not root, or a build or a test fails.
pub(crate) fn run() -> Result<()> {
    ensure!(is_root(), "dumps attach eBPF probes: run it as root");
    execute(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    let chains = root().join("target/chains");
    for toolchain in installed()? {
        let folder = chains.join(toolchain);
        watch(&format!("by {toolchain}"), &build(toolchain, &folder)?, DUMPS)?;
    }
    for tokio in matrix::tokios() {
        watch(&format!("with tokio {tokio}"), &build_with(tokio, &chains)?, FEW_DUMPS)?;
    }
    Ok(())
}

fn watch(how: &str, target: &Path, dumps: &str) -> Result<()> {
    println!("await chains of a target built {how}");
    execute(
        cargo()
            .args(["test", "-p", "asyncscope-tests", "--test", "live", "--", "chains::"])
            .env("ASYNCSCOPE_DUMPS", dumps)
            .env("ASYNCSCOPE_WAITS", target),
    )
}

/// Builds the target by a manifest of its own, which names that very tokio.
fn build_with(tokio: &str, chains: &Path) -> Result<PathBuf> {
    let folder = chains.join(format!("tokio-{tokio}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("Cargo.toml"), manifest(tokio))?;
    let target = chains.join("build");
    let mut build = cargo();
    build.args(["build", "--quiet", "--profile", "typed"]);
    build.arg("--manifest-path").arg(folder.join("Cargo.toml")).arg("--target-dir").arg(&target);
    // Files are named as in the workspace's own build.
    build.env("RUSTFLAGS", format!("--remap-path-prefix={}/=", root().display()));
    execute(&mut build)?;
    let program = folder.join("waits");
    fs::copy(target.join("typed/waits"), &program).context("the target was not built")?;
    Ok(program)
}

fn manifest(tokio: &str) -> String {
    format!(
        r#"[package]
name = "waits"
version = "0.0.0"
edition = "2024"
publish = false

[[bin]]
name = "waits"
path = "{source}"

[dependencies]
anyhow = "1"
futures-util = {{ version = "0.3", default-features = false, features = ["alloc"] }}
serde_json = "1"
tokio = {{ version = "={tokio}", features = ["full"] }}
tracing = "0.1"

[profile.typed]
inherits = "release"
debug = "full"

[workspace]
"#,
        source = root().join("tests/waits/src/main.rs").display(),
    )
}

fn installed() -> Result<Vec<&'static str>> {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output().context("rustup cannot be run")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    Ok(TOOLCHAINS.into_iter().filter(|toolchain| listed.lines().any(|line| line.starts_with(toolchain))).collect())
}

fn build(toolchain: &str, folder: &PathBuf) -> Result<PathBuf> {
    let mut build = Command::new("rustup");
    build.args(["run", toolchain, "cargo", "build", "--profile", "typed", "-p", "waits", "--target-dir"]).arg(folder);
    // cargo's own choice of a compiler would be handed on.
    build.current_dir(root()).env_remove("RUSTC").env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    execute(&mut build)?;
    Ok(folder.join("typed/waits"))
}
