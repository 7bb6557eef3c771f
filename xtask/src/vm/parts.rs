//! What is not built here: qemu, a shell and the kernels, from Debian's archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::debian::{self, Apt};
use crate::process::on_path;

/// The suites that have the kernels. One day the oldest will leave the archive, and its kernels with it.
const SUITES: [&str; 5] = ["bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports"];
/// Those of them that have fixes of their own.
const FIXED: [&str; 3] = ["bullseye", "bookworm", "trixie"];
/// Kernels for virtual machines: all that is needed is built in.
const FLAVOUR: &str = "-cloud-amd64";
/// The machine is of this kind, whatever this machine is.
const QEMU: &str = "qemu-system-x86_64";

/// All that every kernel is booted with.
#[derive(Debug)]
pub(super) struct Parts {
    /// A shell and all that it calls, in one file without libraries.
    pub(super) busybox: PathBuf,
    /// The folder of qemu; `None` where this machine has its own.
    qemu: Option<PathBuf>,
}

/// A kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As the package's name has it.
    pub(super) version: String,
    /// The image that is booted.
    pub(super) image: PathBuf,
}

impl Parts {
    /// A command that begins with qemu's own needs.
    pub(super) fn qemu(&self) -> Command {
        let Some(folder) = &self.qemu else { return Command::new(QEMU) };
        let mut qemu = Command::new(folder.join("usr/bin").join(QEMU));
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        qemu.env("LD_LIBRARY_PATH", libraries.map(|part| folder.join(part).display().to_string()).join(":"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            qemu.arg("-L").arg(folder.join(data));
        }
        qemu
    }
}

/// Fetches what is not there yet.
///
/// # Errors
/// Where apt fails, or this machine's Debian has no qemu.
pub(super) fn get(folder: &Path) -> Result<Parts> {
    let busybox = folder.join("busybox");
    if !busybox.exists() {
        let package = kernels(folder)?.fetch_alone("busybox-static")?;
        let unpacked = folder.join("unpacked");
        debian::unpack(&package, &unpacked)?;
        let places = ["usr/bin/busybox", "bin/busybox"].map(|place| unpacked.join(place));
        let program = places.iter().find(|place| place.exists()).context("no busybox in its package")?;
        fs::rename(program, &busybox)?;
        fs::remove_dir_all(&unpacked)?;
    }
    if on_path(QEMU).is_some() {
        return Ok(Parts { busybox, qemu: None });
    }
    let qemu = folder.join("qemu");
    if !qemu.join("usr/bin").join(QEMU).exists() {
        let backports = format!("{}-backports", codename()?);
        let uri = debian::archive("Debian")?;
        let mut sources = format!("deb {uri} {} main\ndeb {uri} {backports} main\n", codename()?);
        if let Ok(security) = debian::archive("Debian-Security") {
            sources.push_str(&format!("deb {security} {}-security main\n", codename()?));
        }
        let apt = Apt::of_this_machine(&folder.join("apt-qemu"), &sources)?;
        apt.update()?;
        // What a kernel wants of its machine grows with it: the newest qemu there is.
        for package in apt.fetch(&["--target-release", &backports, "qemu-system-x86"])? {
            debian::unpack(&package, &qemu)?;
        }
        apt.remove()?;
    }
    Ok(Parts { busybox, qemu: Some(qemu) })
}

/// The newest kernel whose version begins so.
///
/// # Errors
/// Where the archive has none, or not that file.
pub(super) fn kernel(folder: &Path, wanted: &str) -> Result<Kernel> {
    let place = folder.join("kernels").join(wanted);
    if let Some(there) = kept(&place) {
        return Ok(there);
    }
    let apt = kernels(folder)?;
    let (package, version) = newest(&apt, wanted)?;
    let unpacked = folder.join("unpacked");
    debian::unpack(&apt.fetch_alone(&package)?, &unpacked)?;
    let release = version.clone() + FLAVOUR;
    let places =
        [unpacked.join(format!("boot/vmlinuz-{release}")), unpacked.join(format!("usr/lib/modules/{release}/vmlinuz"))];
    let image = places.iter().find(|place| place.exists()).with_context(|| format!("no kernel in {package}"))?;
    fs::create_dir_all(&place)?;
    fs::rename(image, place.join(&version))?;
    fs::remove_dir_all(&unpacked)?;
    kept(&place).context("it is gone")
}

fn kept(place: &Path) -> Option<Kernel> {
    let image = fs::read_dir(place).ok()?.next()?.ok()?.path();
    Some(Kernel { version: image.file_name()?.to_string_lossy().into_owned(), image })
}

fn kernels(folder: &Path) -> Result<Apt> {
    let (uri, security) = (debian::archive("Debian")?, debian::archive("Debian-Security"));
    let mut sources: String = SUITES.iter().map(|suite| format!("deb {uri} {suite} main\n")).collect();
    if let Ok(security) = security {
        sources.extend(FIXED.iter().map(|suite| format!("deb {security} {suite}-security main\n")));
    }
    let place = folder.join("apt-kernels");
    let is_known = place.join("state/lists").read_dir().is_ok_and(|lists| lists.count() > SUITES.len());
    let apt = Apt::of_an_empty_machine(&place, &sources)?;
    if !is_known {
        apt.update()?;
    }
    Ok(apt)
}

/// The package with the newest image, and its version. From 6.19 on images are in packages of another name.
fn newest(apt: &Apt, wanted: &str) -> Result<(String, String)> {
    let mut found = Vec::new();
    for kind in ["linux-binary-", "linux-image-"] {
        for name in apt.names(&format!("{kind}{wanted}."))? {
            let version = name.strip_prefix(kind).and_then(|rest| rest.strip_suffix(FLAVOUR)).map(str::to_owned);
            found.extend(version.map(|version| (numbers(&version), kind == "linux-binary-", name, version)));
        }
    }
    let best = found.into_iter().max().with_context(|| format!("Debian's archive has no kernel {wanted}"))?;
    Ok((best.2, best.3))
}

/// The numbers in a version, by which it is ordered.
pub(super) fn numbers(version: &str) -> Vec<u64> {
    version.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("this is no Debian")?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(|name| name.trim_matches('"').to_owned()).context("this is no release of Debian's: install qemu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let sorted = ["5.10.0-9", "5.10.0-46", "6.1.0-0.deb11.52", "6.1.0-50", "6.12.90+deb13", "6.12.118+deb13"];
        assert!(sorted.is_sorted_by_key(|version| numbers(version)), "{:?}", sorted.map(numbers));
    }
}
