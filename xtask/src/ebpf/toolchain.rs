//! A compiler that can build `core` for BPF, and the linker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{on_path, output, root};

/// The distribution's compiler: with it the committed object is built.
pub(super) const PINNED_RUSTC: &str = "/usr/bin/rustc";

/// A compiler and a linker.
#[derive(Debug)]
pub(super) struct Toolchain {
    pub(super) rustc: PathBuf,
    /// As `rustc --version` says.
    pub(super) version: String,
    pub(super) sysroot: PathBuf,
    pub(super) linker: PathBuf,
    /// As `bpf-linker --version` says.
    pub(super) linker_version: String,
}

impl Toolchain {
    /// The pinned one where it is installed, else one of rustup's with rust-src.
    ///
    /// # Errors
    /// Where there is none, or no bpf-linker.
    pub(super) fn find() -> Result<Self> {
        let Some((rustc, sysroot)) = pinned().or_else(rustups) else {
            bail!(
                "no compiler here has the sources of `core`: run `cargo xtask setup-ebpf` (Debian 12), \
                 or `rustup component add rust-src`"
            );
        };
        let Some(linker) = linker() else {
            bail!("bpf-linker is missing: run `cargo xtask setup-ebpf` (Debian 12), or `cargo install bpf-linker`");
        };
        let version = output(Command::new(&rustc).arg("--version"))?.trim().to_owned();
        let linker_version = output(Command::new(&linker).arg("--version"))?.trim().to_owned();
        Ok(Self { rustc, version, sysroot, linker, linker_version })
    }

    /// Returns where this compiler keeps the sources of `core`.
    pub(super) fn sources(&self) -> PathBuf {
        sources(&self.sysroot)
    }
}

/// The pinned compiler and its sysroot, where it is installed with the sources of `core`.
pub(super) fn pinned() -> Option<(PathBuf, PathBuf)> {
    usable(PINNED_RUSTC.into())
}

/// The linker: the one that `setup-ebpf` installed, else any on `PATH`.
pub(super) fn linker() -> Option<PathBuf> {
    let own = folder().join("bin/bpf-linker");
    if own.is_file() { Some(own) } else { on_path("bpf-linker") }
}

/// Returns where `setup-ebpf` installs what the distribution does not have.
pub(super) fn folder() -> PathBuf {
    root().join("target/ebpf-toolchain")
}

fn rustups() -> Option<(PathBuf, PathBuf)> {
    let list = output(Command::new("rustup").args(["toolchain", "list"])).ok()?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter_map(rustc_of).find_map(usable)
}

fn rustc_of(toolchain: &str) -> Option<PathBuf> {
    let path = output(Command::new("rustup").args(["which", "--toolchain", toolchain, "rustc"])).ok()?;
    Some(path.trim().into())
}

fn usable(rustc: PathBuf) -> Option<(PathBuf, PathBuf)> {
    if !rustc.is_file() {
        return None;
    }
    let sysroot = output(Command::new(&rustc).args(["--print", "sysroot"])).ok()?;
    let sysroot = PathBuf::from(sysroot.trim());
    sources(&sysroot).join("library/core/src/lib.rs").is_file().then_some((rustc, sysroot))
}

fn sources(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust")
}
