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

/// Every `tokio-<version>/src` in the bytes.
fn mentions(bytes: &[u8]) -> Vec<String> {
    const BEFORE: &[u8] = b"/tokio-";
    let starts = bytes.windows(BEFORE.len()).enumerate().filter(|(_, window)| *window == BEFORE);
    starts.filter_map(|(at, _)| version(&bytes[at + BEFORE.len()..])).collect()
}

fn version(bytes: &[u8]) -> Option<String> {
    const LEN_MAX: usize = 32;
    let end = bytes.iter().take(LEN_MAX).position(|&byte| byte == b'/' || byte == b'\\')?;
    let (version, rest) = bytes.split_at(end);
    let plain = version.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+'));
    let is_version = version.first().is_some_and(u8::is_ascii_digit) && rest.get(1..4) == Some(b"src");
    (plain && is_version).then(|| String::from_utf8_lossy(version).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_from_source_paths() {
        let check = |text: &str, expected: &[&str]| assert_eq!(mentions(text.as_bytes()), expected);
        check("/registry/tokio-1.54.1/src/runtime/task/state.rs", &["1.54.1"]);
        check("/tokio-util-0.7.1/src/lib.rs /tokio-1.28.2/src/a.rs", &["1.28.2"]);
        check("/tokio-1.2", &[]);
        check("/tokio-1.2\u{1b}/src", &[]);
    }
}
