//! `setup-ebpf`: the pinned compiler from the distribution, the linker by cargo.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::toolchain::{PINNED_RUSTC, folder, linker, pinned};
use crate::process::{cargo, is_root, on_path, output, run};

const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
const LINKER_VERSION: &str = "0.13.0";
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// Installs what is missing, and says what is there.
///
/// # Errors
/// Where this is no machine to install on, or an installation fails.
pub(crate) fn setup() -> Result<()> {
    if pinned().is_none() {
        install_compiler()?;
    }
    if linker().is_none() {
        install_linker()?;
    }
    let linker = linker().context("bpf-linker was installed but is not there")?;
    print!("{}", output(Command::new(PINNED_RUSTC).arg("--version"))?);
    print!("{}", output(Command::new(linker).arg("--version"))?);
    Ok(())
}

fn install_compiler() -> Result<()> {
    if on_path("apt-get").is_none() || !is_root() {
        bail!(
            "{} can only be installed by root on Debian 12; elsewhere, a rustup toolchain with rust-src does",
            PACKAGES.join(" and ")
        );
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    let install = ["install", "-qq", "-y", "--no-install-recommends"];
    run(Command::new("apt-get").args(install).args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive"))?;
    pinned().map(drop).with_context(|| format!("{PINNED_RUSTC} still has no sources of `core`"))
}

/// Links against the LLVM that the compiler itself uses, so that no other is needed.
fn install_linker() -> Result<()> {
    let major = llvm_major()?;
    let prefix = folder().join("llvm");
    provide_llvm(&prefix, major)?;
    let package = ["install", "--quiet", "bpf-linker", "--version", LINKER_VERSION, "--locked"];
    run(cargo()
        .args(package)
        .args(["--no-default-features", "--features", &format!("llvm-{major}"), "--root"])
        .arg(folder())
        .env("LLVM_PREFIX", &prefix))
}

fn llvm_major() -> Result<u32> {
    let version = output(Command::new(PINNED_RUSTC).arg("-vV"))?;
    let llvm = version.lines().find_map(|line| line.strip_prefix("LLVM version: "));
    let major = llvm.and_then(|llvm| llvm.split('.').next()?.parse().ok());
    major.with_context(|| format!("`{PINNED_RUSTC} -vV` does not name its LLVM"))
}

/// A folder such as llvm-dev would give, with nothing but the library under its unversioned name.
fn provide_llvm(prefix: &Path, major: u32) -> Result<()> {
    let link = prefix.join("lib/libLLVM.so");
    fs::create_dir_all(prefix.join("lib"))?;
    if fs::symlink_metadata(&link).is_ok() {
        fs::remove_file(&link)?;
    }
    Ok(symlink(library(major)?, link)?)
}

fn library(major: u32) -> Result<PathBuf> {
    let start = format!("libLLVM.so.{major}");
    let files = fs::read_dir(LIBRARIES)?.filter_map(|entry| Some(entry.ok()?.path()));
    let named = |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
    files.filter(named).max().with_context(|| format!("there is no {LIBRARIES}/{start}*"))
}
