//! The build: cargo with the chosen compiler, then the debug info stripped and BTF kept.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::object::Object;
use super::toolchain::Toolchain;
use super::wrapper;
use crate::process::{cargo, on_path, output, root, run};

const TARGET: &str = "bpfel-unknown-none";

/// Settings of the user's that would end up in the object, or send it elsewhere.
const FOREIGN: [&str; 5] =
    ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS", "CARGO_INCREMENTAL"];

/// Builds the object at `target/ebpf/asyncscope.bpf.o`.
///
/// # Errors
/// Where the build or the stripping fails.
pub(super) fn build(toolchain: &Toolchain) -> Result<Object> {
    let manifest = root().join("probe-ebpf/Cargo.toml");
    let folder = root().join("target/ebpf");
    // The registry's folders have to be there before they can be named in the flags.
    run(cargo().args(["fetch", "--quiet", "--locked", "--manifest-path"]).arg(&manifest))?;
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--release", "--locked", "--target", TARGET, "-Zbuild-std=core"])
        .arg("--manifest-path")
        .arg(&manifest)
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain)?.join("\x1f"))
        .env("PATH", path_with(&toolchain.linker)?)
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC_WRAPPER", env::current_exe()?)
        .env(wrapper::ENV, "1");
    for foreign in FOREIGN {
        build.env_remove(foreign);
    }
    run(&mut build)?;
    let fresh = Object::fresh();
    strip(&folder.join(TARGET).join("release/asyncscope"), &fresh.path)?;
    fresh.describe(toolchain)?;
    Ok(fresh)
}

/// The compiler's flags. Every folder that differs between machines gets a fixed name.
fn flags(toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut flags = vec![
        // The layout of `pt_regs`: the object is of one architecture.
        String::from("--cfg=bpf_target_arch=\"x86_64\""),
        // BTF is made of debug info.
        String::from("-Cdebuginfo=2"),
        String::from("-Clink-arg=--btf"),
        // Additions that return the old value came with this instruction set (Linux 5.12).
        String::from("-Ctarget-cpu=v3"),
        // Words at odd places are read as words: x86-64 can, and the verifier allows it in maps. Else byte by byte.
        String::from("-Clink-arg=--cpu-features=+allows-misaligned-mem-access"),
    ];
    let mut remap = |from: &Path, to| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    remap(&root(), "/asyncscope");
    for registry in registries()? {
        remap(&registry, "/cargo");
    }
    let sources = toolchain.sources();
    remap(&sources, "/rust");
    remap(&fs::canonicalize(&sources)?, "/rust");
    Ok(flags)
}

fn registries() -> Result<Vec<PathBuf>> {
    let home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => env::home_dir().context("there is no home folder")?.join(".cargo"),
    };
    let sources = home.join("registry/src");
    let entries = fs::read_dir(&sources).with_context(|| format!("{} cannot be listed", sources.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.sort();
    Ok(folders)
}

fn path_with(program: &Path) -> Result<std::ffi::OsString> {
    let folder = program.parent().map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(folder.into_iter().chain(env::split_paths(&path)))?)
}

fn strip(from: &Path, to: &Path) -> Result<()> {
    let mut objcopy = objcopy()?;
    run(objcopy.arg("--strip-debug").arg(from).arg(to))
}

/// The objcopy that rustc brings along, else LLVM's own: GNU's does not know BPF.
fn objcopy() -> Result<Command> {
    let sysroot = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim());
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let bundled = sysroot.join("lib/rustlib").join(host.trim()).join("bin/rust-objcopy");
    if bundled.is_file() {
        let mut objcopy = Command::new(bundled);
        objcopy.env("LD_LIBRARY_PATH", sysroot.join("lib"));
        return Ok(objcopy);
    }
    let objcopy = on_path("llvm-objcopy").context("neither rust-objcopy nor llvm-objcopy is here: install llvm")?;
    Ok(Command::new(objcopy))
}
