//! OpenTelemetry collectors that are not ours.
//!
//! `setup-collector` installs the one that the live tests of spans send through. `collector` builds the OpenTelemetry
//! Collector itself, and holds what it prints of what it got against what asyncscope sent.

mod judge;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::debian::{self, Apt};
use crate::process::{cargo, is_root, root, run as execute};

/// A collector written in Rust, which starts in a tenth of a second. The version is pinned: a release could
/// change what it passes on.
const COLLECTOR: &str = "rotel==0.0.1a15";

/// The suite that has the OpenTelemetry Collector.
const SUITE: &str = "sid";
/// The collector's source and what it needs of Go's libraries; the compiler; and the latter's own library.
const PACKAGES: [&str; 3] = ["golang-opentelemetry-collector-dev", "golang-1.27-go", "golang-1.27-src"];
/// Of what these depend on, only Go code is of use here: the programs of it are not run.
const OF_USE: &str = "golang-";

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
/// Where this is not root, a part fails, or what arrives is not what was sent.
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
    unpack(&debian)?;
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

/// Unpacks the packages and all Go code that they need.
fn unpack(folder: &Path) -> Result<()> {
    let sources = format!("deb {} {SUITE} main\n", debian::archive("Debian")?);
    let apt = Apt::of_an_empty_machine(&folder.with_extension("apt"), &sources)?;
    apt.update()?;
    let is_of_use =
        |package: &PathBuf| package.file_name().is_some_and(|name| name.to_string_lossy().starts_with(OF_USE));
    let packages: Vec<PathBuf> = apt.fetch(&PACKAGES)?.into_iter().filter(is_of_use).collect();
    ensure!(packages.len() >= PACKAGES.len(), "only {} packages of Go code came", packages.len());
    println!("collector: unpacking {} packages", packages.len());
    for package in packages {
        debian::unpack(&package, folder)?;
    }
    apt.remove()
}

fn source() -> PathBuf {
    root().join("xtask/src/collector/main.go")
}
