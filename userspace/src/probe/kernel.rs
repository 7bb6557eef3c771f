//! The running kernel's version.

use aya::util::KernelVersion;

/// A version of Linux, as people name them.
pub(crate) type Since = (u8, u8);

/// Returns `true` if the kernel is known to be of this version or newer.
pub(crate) fn is_since((major, minor): Since) -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(major, minor, 0))
}

/// Returns `true` if the kernel is known to be older than this version.
pub(crate) fn is_before((major, minor): Since) -> bool {
    KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(major, minor, 0))
}

/// Returns the numbers that the kernel's name for its version begins with; empty if it has none.
pub(crate) fn release() -> String {
    let names = nix::sys::utsname::uname();
    let release = names.map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    numbers(&release).to_owned()
}

fn numbers(release: &str) -> &str {
    let end = release.find(|byte: char| !byte.is_ascii_digit() && byte != '.').unwrap_or(release.len());
    release[..end].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_since((3, 19)) && !is_before((3, 19)));
        assert!(is_before((255, 0)) && !is_since((255, 0)));
        assert_eq!(numbers("5.10.0-28-amd64"), "5.10.0");
        assert_eq!(numbers("6.12.48+deb13"), "6.12.48");
        assert_eq!(numbers("7.0.rc3"), "7.0");
        assert_eq!(numbers(""), "");
        assert!(!release().is_empty());
    }
}
