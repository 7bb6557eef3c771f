//! OpenTelemetry collectors that are not ours.
//!
//! `setup-collector` installs the one that the live tests of spans send through. `collector` builds the OpenTelemetry
//! Collector itself, and holds what it prints of what it got against what asyncscope told.

mod debian;
mod judge;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::process::{cargo, is_root, root, run as execute};

/// A collector written in Rust, which starts in a tenth of a second. The version is pinned: a release could
/// change what it passes on.
const COLLECTOR: &str = "rotel==0.0.1a15";

/// Installs it into `target/collector`, where the tests look for it.
///
/// # Errors
/// Where Python, or the package for its version, is not there.
pub(crate) fn setup() -> Result<()> {
    let place = root().join("target/collector");
    execute(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    execute(Command::new(place.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        COLLECTOR,
    ]))?;
    println!("setup-collector: {COLLECTOR} is in {}", place.display());
    Ok(())
}

/// Builds the OpenTelemetry Collector where it is not there yet, and sends spans of running programs through it.
///
/// # Errors
/// Where this is not root, a part fails, or what arrives is not what was told.
pub(crate) fn run() -> Result<()> {
    ensure!(is_root(), "it attaches eBPF probes: run it as root");
    execute(cargo().args(["build", "--profile", "typed", "-p", "demo-service"]))?;
    let program = root().join("target/otelcol/otelcol");
    if !program.is_file() {
        build(&program)?;
    }
    judge::run(&program)
}

/// Builds it from Debian's packages, as Debian builds Go: from a `GOPATH`, without modules, and without a network.
fn build(program: &Path) -> Result<()> {
    let (debian, cache) = (root().join("target/otelcol/debian"), root().join("target/otelcol/cache"));
    if debian.exists() {
        std::fs::remove_dir_all(&debian)?;
    }
    debian::unpack(&debian)?;
    println!("collector: compiling, some minutes");
    let go = debian.join("usr/lib/go-1.27");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut build = Command::new(go.join("bin/go"));
    build.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(program).arg(source());
    // Nothing of the Go that this machine may have, or of what it was told.
    build.env_clear().env("PATH", path).env("HOME", &cache).env("GOCACHE", &cache).env("GOROOT", &go);
    build.env("GOPATH", debian.join("usr/share/gocode")).env("GO111MODULE", "off").env("GOTOOLCHAIN", "local");
    build.env("GOENV", "off").env("CGO_ENABLED", "0");
    execute(&mut build)?;
    // 3 GB, and of no more use.
    std::fs::remove_dir_all(&debian)?;
    Ok(std::fs::remove_dir_all(&cache)?)
}

fn source() -> PathBuf {
    root().join("xtask/src/collector/main.go")
}
