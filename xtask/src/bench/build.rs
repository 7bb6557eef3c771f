//! The programs that are measured, as a user's release build makes them, each in a file of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::process::{cargo, root, run};
use crate::test::PLAIN_RELEASE;

/// The way in which a service is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Build {
    /// As it is.
    Plain,
    /// With tokio-console's subscriber, and tokio's own instrumentation.
    Console,
    /// With `tracing` and OpenTelemetry's SDK.
    Otel,
}

const SERVICES: [&str; 2] = ["bench-service", "demo-service"];
const LOAD: &str = "bench-load";
const SINK: &str = "bench-sink";

impl Build {
    /// Returns where its services' files are.
    pub(super) fn folder(self) -> PathBuf {
        let name = match self {
            Self::Plain => "plain",
            Self::Console => "console",
            Self::Otel => "otel",
        };
        folder().join(name)
    }

    /// Builds the services; where their files are then.
    fn made(self) -> Result<PathBuf> {
        let mut target = root().join("target");
        let mut build = cargo();
        build.args(PLAIN_RELEASE).args(SERVICES.iter().flat_map(|package| ["-p", package]));
        if let Some(feature) = self.feature() {
            build.args(["--features", &SERVICES.map(|package| format!("{package}/{feature}")).join(",")]);
        }
        if self == Self::Console {
            // Everything is compiled anew for this.
            target = folder().join("unstable");
            build.env("RUSTFLAGS", "--cfg tokio_unstable").arg("--target-dir").arg(&target);
        }
        run(&mut build)?;
        Ok(target.join("release"))
    }

    fn feature(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Console => Some("console"),
            Self::Otel => Some("otel"),
        }
    }
}

/// Returns where the files of a second program are, of the same content.
pub(super) fn other_files() -> PathBuf {
    folder().join("other")
}

/// The agent's file.
pub(super) fn agent() -> PathBuf {
    root().join("target/release/asyncscope")
}

/// The load's file.
pub(super) fn load_program() -> PathBuf {
    folder().join(LOAD)
}

/// The file of what takes spans.
pub(super) fn sink_program() -> PathBuf {
    folder().join(SINK)
}

/// Returns where all that is measured, and what comes of it, is.
pub(super) fn folder() -> PathBuf {
    root().join("target/bench")
}

/// Builds them all.
///
/// # Errors
/// Where a build fails.
pub(super) fn build(builds: &[Build]) -> Result<()> {
    run(cargo().args(["build", "--release", "-p", "asyncscope"]))?;
    for &build in builds {
        copy(&build.made()?, &build.folder(), &SERVICES)?;
        if build == Build::Plain {
            copy(&root().join("target/release"), &folder(), &[LOAD, SINK])?;
        }
    }
    copy(&Build::Plain.folder(), &other_files(), &SERVICES)
}

/// A copy is another file to the kernel: hooks in the one are not in the other.
fn copy(from: &Path, to: &Path, names: &[&str]) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in names {
        let (from, to) = (from.join(name), to.join(name));
        // In its place, as it may run.
        let _absent = fs::remove_file(&to);
        fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}
