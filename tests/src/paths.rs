//! Where the binaries are, built first where cargo is at hand, so that no test runs a stale one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};

/// The agent: `ASYNCSCOPE_BIN`, or the workspace's own release build.
///
/// # Errors
///
/// If it cannot be built.
pub fn agent() -> Result<PathBuf> {
    match std::env::var_os("ASYNCSCOPE_BIN") {
        Some(path) => Ok(path.into()),
        None => built("asyncscope"),
    }
}

/// The eBPF object that is loaded: `ASYNCSCOPE_BPF_OBJECT`, or the committed one.
#[must_use]
pub fn bpf_object() -> PathBuf {
    let committed = || workspace().join("userspace/src/probe/asyncscope.bpf.o");
    std::env::var_os("ASYNCSCOPE_BPF_OBJECT").map_or_else(committed, PathBuf::from)
}

/// The target that prints the truth it lived.
///
/// # Errors
///
/// If it cannot be built.
pub fn truth() -> Result<PathBuf> {
    built("truth")
}

/// The way in which a target is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// A plain release build.
    Release,
    /// With fat LTO and one codegen unit.
    FatLto,
    /// With fat LTO and one codegen unit, without symbols.
    Stripped,
}

/// The HTTP/2 server and client, without debug info.
///
/// # Errors
///
/// If they cannot be built.
pub fn http2(build: Build) -> Result<PathBuf> {
    by_itself("http2", build)
}

/// The target that counts the CPU time of its own tasks and functions, without debug info.
///
/// # Errors
///
/// If it cannot be built.
pub fn burn(build: Build) -> Result<PathBuf> {
    by_itself("burn", build)
}

/// The chain of services, without debug info.
///
/// # Errors
///
/// If it cannot be built.
pub fn chain(build: Build) -> Result<PathBuf> {
    by_itself("chain", build)
}

/// The services that call in every way, and their upstream, without debug info.
///
/// # Errors
///
/// If they cannot be built.
pub fn kinds() -> Result<PathBuf> {
    by_itself("kinds", Build::Release)
}

/// The target that keeps what went through its connections.
///
/// # Errors
///
/// If it cannot be built.
pub fn heads() -> Result<PathBuf> {
    built("heads")
}

/// The target whose lines say who wrote them.
///
/// # Errors
///
/// If it cannot be built.
pub fn logs() -> Result<PathBuf> {
    built("logs")
}

/// The target whose tasks say where they wait, with type information: `ASYNCSCOPE_WAITS`, or the workspace's own.
///
/// # Errors
///
/// If it cannot be built.
pub fn waits() -> Result<PathBuf> {
    match std::env::var_os("ASYNCSCOPE_WAITS") {
        Some(path) => Ok(path.into()),
        None => built_as("typed", "waits"),
    }
}

/// The target whose memory lies, with type information.
///
/// # Errors
///
/// If it cannot be built.
pub fn liar() -> Result<PathBuf> {
    built_as("typed", "liar")
}

/// A directory of its own, removed on drop.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new one.
    ///
    /// # Errors
    ///
    /// If the system's directory for temporary files cannot be written.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("asyncscope-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the files in it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn files(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.0)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl Scratch {
    /// Lets every user read it and run what is in it.
    ///
    /// # Errors
    ///
    /// If its mode cannot be changed.
    pub fn open_to_all(&self) -> Result<()> {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        Ok(std::fs::set_permissions(&self.0, mode)?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's cleaning of temporary files.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

fn built(package: &str) -> Result<PathBuf> {
    built_as("release", package)
}

fn built_as(profile: &str, package: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let result = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    result.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    present(target().join(profile).join(package), package)
}

pub(crate) fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    workspace().join(target)
}

pub(crate) fn present(path: PathBuf, package: &str) -> Result<PathBuf> {
    if !path.exists() {
        bail!("{} is missing: build {package} first", path.display());
    }
    Ok(path)
}

/// As a user's release build is.
const PLAIN: [&str; 2] = ["--config", "profile.release.debug=false"];

/// Builds what this run needs. Outside of cargo whatever is there is used.
fn build() -> Result<()> {
    cargo_build(&[&["--release", "-p", "truth", "-p", "heads", "-p", "logs"], &PLAIN[..]].concat())?;
    cargo_build(&["--profile", "typed", "-p", "waits", "-p", "liar"])?;
    if std::env::var_os("ASYNCSCOPE_BIN").is_some() { Ok(()) } else { cargo_build(&["--release", "-p", "asyncscope"]) }
}

/// A library that is made to be loaded.
pub(crate) fn library(package: &str) -> Result<PathBuf> {
    cargo_build(&[&["--release", "-p", package], &PLAIN[..]].concat())?;
    present(target().join(format!("release/lib{package}.so")), package)
}

/// Builds a package by itself, so that no other one's features are in it.
fn by_itself(package: &str, build: Build) -> Result<PathBuf> {
    let profile = if build == Build::Release { "release" } else { "shipped" };
    cargo_build(&[&["--profile", profile, "-p", package], &PLAIN[..]].concat())?;
    let path = present(target().join(profile).join(package), package)?;
    if build != Build::Stripped {
        return Ok(path);
    }
    let stripped = path.with_extension("stripped");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(&path))?;
    Ok(stripped)
}

/// Takes a program's unwind tables off it. It runs as before, as long as nothing unwinds.
///
/// # Errors
///
/// If `objcopy` cannot.
pub fn remove_unwind_tables(program: &Path) -> Result<()> {
    let sections = ["--remove-section=.eh_frame", "--remove-section=.eh_frame_hdr"];
    run(Command::new("objcopy").args(sections).arg(program))
}

fn cargo_build(arguments: &[&str]) -> Result<()> {
    match std::env::var_os("CARGO") {
        Some(cargo) => run(Command::new(cargo).current_dir(workspace()).args(["build", "--quiet"]).args(arguments)),
        None => Ok(()),
    }
}

fn run(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command to its end, and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
