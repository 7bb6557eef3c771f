//! tokio's version, from the paths of its source files that panic messages carry.

use super::elf::Elf;

/// The version, where exactly one is mentioned.
#[must_use]
pub(super) fn find(elf: &Elf<'_>) -> Option<String> {
    let mut versions = elf.read_only_data().flat_map(mentions).collect::<Vec<_>>();
    versions.sort_unstable();
    versions.dedup();
    match versions.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
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
