//! Debian packages, fetched and unpacked into a folder of ours: nothing is installed, and apt's own state on
//! this machine is neither read nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::{output, run};

/// The suite that has them.
const SUITE: &str = "sid";
/// The collector's source and what it needs of Go's libraries; the compiler; and the latter's own library.
const PACKAGES: [&str; 3] = ["golang-opentelemetry-collector-dev", "golang-1.27-go", "golang-1.27-src"];
/// Of what these depend on, only Go code is of use here: the programs of it are not run.
const OF_USE: &str = "golang-";

/// Unpacks the packages and all Go code that they need below `folder`.
///
/// # Errors
/// Where this machine's apt names no Debian archive, or the archive does not have them.
pub(super) fn unpack(folder: &Path) -> Result<()> {
    let apt = Apt::below(&folder.with_extension("apt"))?;
    run(apt.get().arg("update"))?;
    run(apt.get().args(["install", "--yes", "--download-only", "--no-install-recommends"]).args(PACKAGES))?;
    let packages = apt.fetched()?;
    ensure!(packages.len() >= PACKAGES.len(), "only {} packages of Go code came", packages.len());
    println!("collector: unpacking {} packages", packages.len());
    for package in packages {
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder))?;
    }
    Ok(fs::remove_dir_all(&apt.folder)?)
}

/// apt with a configuration, a state and a cache of its own.
#[derive(Debug)]
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn below(folder: &Path) -> Result<Self> {
        for part in ["sources", "state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        // As on a machine on which nothing is installed: all that they depend on is fetched.
        fs::write(folder.join("state/status"), "")?;
        fs::write(folder.join("sources/archive.list"), format!("deb {} {SUITE} main\n", archive()?))?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn get(&self) -> Command {
        let mut get = Command::new("apt-get");
        let places = [
            ("Etc::SourceParts", "sources"),
            ("State", "state"),
            ("State::status", "state/status"),
            ("Cache", "cache"),
        ];
        for (key, place) in places {
            get.arg("-o").arg(format!("Dir::{key}={}", self.folder.join(place).display()));
        }
        // The user that apt downloads as may not look into this folder.
        get.args(["-o", "Dir::Etc::SourceList=/dev/null", "-o", "APT::Sandbox::User=root", "--quiet=2"]);
        get
    }

    fn fetched(&self) -> Result<Vec<PathBuf>> {
        let files = fs::read_dir(self.folder.join("cache/archives"))?;
        let files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
        let of_use = |file: &PathBuf| {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.starts_with(OF_USE) && name.ends_with(".deb")
        };
        Ok(files.into_iter().filter(of_use).collect())
    }
}

/// Where this machine gets Debian from.
fn archive() -> Result<String> {
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL)";
    let targets = output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let archive = targets.lines().find_map(|line| line.strip_suffix(" Debian Debian"));
    archive.map(str::to_owned).context("this machine's apt has no Debian archive; `apt-get update` may help")
}
