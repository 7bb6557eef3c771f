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

/// The target that prints the truth it lived.
///
/// # Errors
///
/// If it cannot be built.
pub fn truth() -> Result<PathBuf> {
    built("truth")
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

fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

fn built(package: &str) -> Result<PathBuf> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let result = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    result.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let path = workspace().join(target).join("release").join(package);
    if !path.exists() {
        bail!("{} is missing: cargo build --release -p {package}", path.display());
    }
    Ok(path)
}

/// Builds what this run needs. Outside of cargo whatever is there is used.
fn build() -> Result<()> {
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(());
    };
    let mut command = Command::new(cargo);
    command.current_dir(workspace()).args(["build", "--quiet", "--release", "-p", "truth"]);
    if std::env::var_os("ASYNCSCOPE_BIN").is_none() {
        command.args(["-p", "asyncscope"]);
    }
    let output = command.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cannot build the target or the agent: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
