//! Guests: code with a tokio of its own in another tokio program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::paths;

/// The version of the tokio that is linked in beside the newest.
pub const OTHER_VERSION: &str = "1.38.2";

/// The truth program's needs beside libc and tokio, as lines of a manifest: for builds with other tokios.
pub const TRUTH_NEEDS: &str = "anyhow = \"1\"\nserde_json = \"1\"\n\
    futures-util = { version = \"0.3\", default-features = false, features = [\"std\"] }\n";

/// The program's own tokio.
const TOKIO: &str = "version = \"1.54\", features = [\"full\"]";

/// The library for `dlopen`.
///
/// # Errors
///
/// If it cannot be built.
pub fn library() -> Result<PathBuf> {
    paths::library("guest")
}

/// The truth program with a second tokio linked in, of another version.
///
/// cargo lets one package be there in one 1.x version only, if it is from one source. So the second comes by
/// its path: of where cargo keeps its sources.
///
/// # Errors
///
/// If it cannot be built.
pub fn two_tokios() -> Result<PathBuf> {
    let folder = paths::target().join("guests");
    let program = folder.join("build/release/truth");
    let Some(cargo) = std::env::var_os("CARGO") else {
        return paths::present(program, "the live tests' targets");
    };
    let tests = paths::workspace().join("tests");
    let guest = |tokio: &str| {
        // Without its macros: of these there can be one version only.
        let tokio = format!("{tokio}, features = [\"net\", \"rt-multi-thread\", \"sync\", \"time\"]");
        package("guest", "[lib]", &tests.join("guest/src/lib.rs"), "", &tokio)
    };
    let asked = folder.join("asked");
    put(&asked, &guest(&format!("version = \"={OTHER_VERSION}\"")))?;
    let mut metadata = Command::new(&cargo);
    metadata.args(["metadata", "--format-version", "1", "--manifest-path"]).arg(asked.join("Cargo.toml"));
    let sources = sources_of_tokio(&paths::output(&mut metadata)?)?;
    put(&folder.join("guest"), &guest(&format!("path = {:?}", sources.display().to_string())))?;
    let host = folder.join("host");
    let features =
        "[features]\ndefault = [\"since-1-41\", \"guest\"]\nsince-1-41 = []\nguest = [\"dep:guest\"]\nlibrary = []\n";
    let needs = format!("{TRUTH_NEEDS}guest = {{ path = \"../guest\", optional = true }}\n");
    let manifest = package("truth", "[[bin]]", &tests.join("truth/src/main.rs"), &needs, TOKIO);
    put(&host, &format!("{manifest}{features}"))?;
    let mut build = Command::new(&cargo);
    build.args(["build", "--quiet", "--release", "--manifest-path"]).arg(host.join("Cargo.toml"));
    build.arg("--target-dir").arg(folder.join("build"));
    paths::output(&mut build)?;
    paths::present(program, "truth with two tokios")
}

/// A manifest in a workspace of its own.
fn package(name: &str, kind: &str, source: &Path, needs: &str, tokio: &str) -> String {
    let source = source.display().to_string();
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         {kind}\nname = \"{name}\"\npath = {source:?}\n\n[dependencies]\nlibc = \"0.2\"\n{needs}tokio = {{ {tokio} }}\n\n"
    )
}

/// Leaves the file's time alone where nothing changed, so that cargo need not look again.
fn put(folder: &Path, manifest: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join("Cargo.toml");
    if fs::read_to_string(&path).ok().as_deref() != Some(manifest) {
        fs::write(&path, manifest)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

fn sources_of_tokio(metadata: &str) -> Result<PathBuf> {
    let metadata: Metadata = serde_json::from_str(metadata)?;
    let tokio = metadata.packages.into_iter().find(|package| package.name == "tokio").context("no tokio")?;
    tokio.manifest_path.parent().map(Path::to_owned).context("a manifest in no folder")
}
