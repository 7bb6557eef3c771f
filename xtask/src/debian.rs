//! Debian packages, fetched into a folder of ours: nothing is installed, and apt's own state on this machine is
//! not changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::{output, run};

/// apt with a configuration, a state and a cache of its own.
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
    status: PathBuf,
}

impl Apt {
    /// As on a machine on which nothing is installed: all that a package depends on is fetched.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub(crate) fn of_an_empty_machine(folder: &Path, sources: &str) -> Result<Self> {
        let apt = Self::below(folder, sources, folder.join("state/status"))?;
        fs::write(&apt.status, "")?;
        Ok(apt)
    }

    /// As on this machine: only what is not installed is fetched.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub(crate) fn of_this_machine(folder: &Path, sources: &str) -> Result<Self> {
        Self::below(folder, sources, PathBuf::from("/var/lib/dpkg/status"))
    }

    fn below(folder: &Path, sources: &str, status: PathBuf) -> Result<Self> {
        for part in ["sources", "state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("sources/archive.list"), sources)?;
        Ok(Self { folder: folder.to_owned(), status })
    }

    /// Reads what there is.
    ///
    /// # Errors
    /// Where apt fails.
    pub(crate) fn update(&self) -> Result<()> {
        run(self.get().arg("update"))
    }

    /// Fetches packages, and those that they need.
    ///
    /// # Errors
    /// Where apt fails, or does not have them.
    pub(crate) fn fetch(&self, arguments: &[&str]) -> Result<Vec<PathBuf>> {
        run(self.get().args(["install", "--yes", "--download-only", "--no-install-recommends"]).args(arguments))?;
        packages(&self.folder.join("cache/archives"))
    }

    /// Fetches one package alone.
    ///
    /// # Errors
    /// Where apt fails, or does not have it.
    pub(crate) fn fetch_alone(&self, package: &str) -> Result<PathBuf> {
        let folder = self.folder.join("alone").join(package);
        fs::create_dir_all(&folder)?;
        run(self.get().current_dir(&folder).args(["download", package]))?;
        packages(&folder)?.pop().with_context(|| format!("apt downloaded no {package}"))
    }

    /// The names of all packages that begin so.
    ///
    /// # Errors
    /// Where apt fails.
    pub(crate) fn names(&self, start: &str) -> Result<Vec<String>> {
        let names = output(self.command("apt-cache").args(["pkgnames", start]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Removes all that is of use to apt only, packages included.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        Ok(fs::remove_dir_all(&self.folder)?)
    }

    fn get(&self) -> Command {
        let mut get = self.command("apt-get");
        // The user that apt downloads as may not look into this folder.
        get.args(["-o", "APT::Sandbox::User=root", "--quiet=2"]);
        get
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let places = [("Etc::SourceParts", "sources"), ("State", "state"), ("Cache", "cache")];
        for (key, place) in places {
            command.arg("-o").arg(format!("Dir::{key}={}", self.folder.join(place).display()));
        }
        command.arg("-o").arg(format!("Dir::State::status={}", self.status.display()));
        command.args(["-o", "Dir::Etc::SourceList=/dev/null"]);
        command
    }
}

/// Unpacks a package below a folder.
///
/// # Errors
/// Where dpkg fails.
pub(crate) fn unpack(package: &Path, folder: &Path) -> Result<()> {
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(folder))
}

/// Returns where this machine gets Debian from: its archive (`Debian`), or that of its security team
/// (`Debian-Security`).
///
/// # Errors
/// Where this machine's apt names none.
pub(crate) fn archive(label: &str) -> Result<String> {
    let format = "$(REPO_URI) $(ORIGIN) $(LABEL)";
    let targets = output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let end = format!(" Debian {label}");
    let archive = targets.lines().find_map(|line| line.strip_suffix(&end));
    archive
        .map(str::to_owned)
        .with_context(|| format!("this machine's apt has no archive of {label}; `apt-get update` may help"))
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "deb")).collect())
}
