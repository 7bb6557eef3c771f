//! tokio's version, from the paths of its source files that panic messages carry.

use std::collections::BTreeSet;

use crate::image::elf::Elf;

/// The version, where exactly one is mentioned.
#[must_use]
pub(crate) fn find(elf: &Elf<'_>) -> Option<String> {
    match all(elf).as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// No more different versions than this are told of.
const VERSIONS_MAX: usize = 8;

/// All versions that are mentioned.
#[must_use]
pub(super) fn all(elf: &Elf<'_>) -> Vec<String> {
    let mut versions = BTreeSet::new();
    for version in elf.read_only_data().flat_map(mentions) {
        if versions.len() < VERSIONS_MAX {
            versions.insert(version);
        }
    }
    versions.into_iter().collect()
}

/// Returns `true` if code of this source file of tokio's may be in the executable: if any of tokio's files is named
/// in it, all are that have code in it which can panic.
#[must_use]
pub(super) fn may_have_source(elf: &Elf<'_>, file: &str) -> bool {
    let named = |text: &[u8]| elf.read_only_data().any(|bytes| bytes.windows(text.len()).any(|at| at == text));
    find(elf).is_none() || named(file.as_bytes())
}

/// Every `/tokio-<version>/src` in the bytes.
fn mentions(bytes: &[u8]) -> Vec<String> {
    let mut parts = bytes.split(|&byte| byte == b'/').skip(1).peekable();
    let mut versions = Vec::new();
    while let Some(part) = parts.next() {
        let in_sources = parts.peek().is_some_and(|next| next.starts_with(b"src"));
        versions.extend(part.strip_prefix(b"tokio-").filter(|_| in_sources).and_then(version));
    }
    versions
}

fn version(bytes: &[u8]) -> Option<String> {
    const LEN_MAX: usize = 32;
    let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'));
    let is_version = bytes.first().is_some_and(u8::is_ascii_digit) && bytes.len() < LEN_MAX;
    (plain && is_version).then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_from_source_paths() {
        // The path is put together here, so that the test executable mentions no version but its own.
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(mentions(text.replace('@', "tokio").as_bytes()), expected, "{text}");
        };
        check("/registry/@-1.54.1/src/runtime/task/state.rs", &["1.54.1"]);
        check("/@-util-0.7.1/src/lib.rs /@-1.28.2/src/a.rs", &["1.28.2"]);
        check("@-1.28.2/src", &[]);
        check("/@-1.28.2/tests", &[]);
        check("/@-macros-2.5.0/src", &[]);
        check("/@-1.28.2/src/@-1.43.0/src", &["1.28.2", "1.43.0"]);
        check(&format!("/@-1.{}/src", "2".repeat(30)), &[]);
        check("/@-1.2", &[]);
        check("/@-1.2\u{1b}/src", &[]);
    }
}
