//! Builds a cell: from a manifest of its own that refers to the one truth program's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use asyncscope_tests::guests::TRUTH_NEEDS;
use asyncscope_tests::paths::remove_unwind_tables;

use super::cell::Cell;
use crate::process::{cargo, root, run as execute};

/// The program that a cell is watched as.
#[derive(Debug)]
pub(crate) struct Built {
    /// The program as it is shipped.
    pub(crate) program: PathBuf,
    /// The program with its symbols, if it is shipped without.
    pub(crate) unstripped: Option<PathBuf>,
}

/// Builds the cell's program.
///
/// # Errors
/// Where it cannot be built.
pub(crate) fn build(cell: &Cell) -> Result<Built> {
    let matrix = root().join("target/matrix");
    let folder = matrix.join(cell.folder());
    fs::create_dir_all(&folder)?;
    write_if_changed(&folder.join("Cargo.toml"), &manifest(cell))?;
    // Held until the program is copied: another cell's goes to the same place.
    let lock = fs::File::create(matrix.join("lock"))?;
    lock.lock().context("cannot lock target/matrix")?;
    // Cells share what they can: cargo distinguishes builds with other flags, but for the program's path.
    let target = matrix.join("build");
    let mut command = cargo_of(cell);
    command.args(["build", "--quiet", "--target", cell.build.target, "--profile", cell.build.profile]);
    command.arg("--manifest-path").arg(folder.join("Cargo.toml")).arg("--target-dir").arg(&target);
    command.env("CARGO_ENCODED_RUSTFLAGS", cell.build.flags.join("\u{1f}"));
    execute(&mut command)?;
    let output = if cell.build.profile == "dev" { "debug" } else { cell.build.profile };
    let program = folder.join("truth");
    let made = target.join(cell.build.target).join(output).join("truth");
    if !cell.build.stripped {
        fs::copy(&made, &program).with_context(|| format!("no {}", made.display()))?;
        if !cell.build.unwind_tables {
            remove_unwind_tables(&program)?;
        }
        return Ok(Built { program, unstripped: None });
    }
    let unstripped = folder.join("truth.unstripped");
    fs::copy(&made, &unstripped).with_context(|| format!("no {}", made.display()))?;
    execute(Command::new("strip").arg("--strip-all").arg("-o").arg(&program).arg(&unstripped))?;
    Ok(Built { program, unstripped: Some(unstripped) })
}

/// The compiler's own cargo: rustup's is asked for another, whatever runs this.
fn cargo_of(cell: &Cell) -> Command {
    let Some(toolchain) = cell.build.toolchain else {
        return cargo();
    };
    let mut command = Command::new("cargo");
    command.arg(format!("+{toolchain}")).env_remove("RUSTC");
    command
}

fn manifest(cell: &Cell) -> String {
    let features = if cell.tokio.since_1_41 { "\"since-1-41\"" } else { "" };
    format!(
        r#"[package]
name = "truth"
version = "0.0.0"
edition = "2024"
publish = false

[[bin]]
name = "truth"
path = "{source}"

[features]
default = [{features}]
since-1-41 = []
guest = []
library = []

[dependencies]
libc = "0.2"
{needs}tokio = {{ version = "={tokio}", features = ["full"] }}

[profile.{profile}]
{settings}
[workspace]
"#,
        needs = TRUTH_NEEDS,
        source = root().join("tests/truth/src/main.rs").display(),
        tokio = cell.tokio.version,
        profile = cell.build.profile,
        settings = cell.build.settings,
    )
}

/// Leaves the file's time alone where nothing changed, so that cargo need not look again.
fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text)?;
    }
    Ok(())
}
