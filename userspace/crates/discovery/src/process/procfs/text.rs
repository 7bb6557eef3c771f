//! Lines, words and numbers in bytes.

use std::str::FromStr;

/// The text that the kernel writes behind the name of a file that was deleted.
const DELETED: &[u8] = b" (deleted)";

pub(super) fn lines(text: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

pub(super) fn words(line: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The parts before and after the first such byte.
pub(super) fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
}

/// The number that a word is.
#[must_use]
pub fn decimal<T: FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

pub(super) fn hexadecimal(word: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()
}

/// The name as it is shown.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// The text that follows this name at the start of a line, without the space around it.
#[must_use]
pub fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    lines(text).find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
}

/// The name of a file as it was before the file was deleted.
#[must_use]
pub fn without_deleted(name: &[u8]) -> &[u8] {
    name.strip_suffix(DELETED).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_whole_lines_starts() {
        let text = b"Name:\t\xff\nNSpid:\t7\t1 \nx NSpid: 2";
        assert_eq!(field(text, b"NSpid:"), Some(&b"7\t1"[..]));
        assert_eq!(field(text, b"Name:"), Some(&b"\xff"[..]));
        assert_eq!(field(text, b"Tgid:"), None);
        assert_eq!(field(b"", b"Name:"), None);
    }

    #[test]
    fn a_deleted_file_had_a_name() {
        assert_eq!(without_deleted(b"/a\xff (deleted)"), b"/a\xff");
        assert_eq!(without_deleted(b"/a (deleted) (deleted)"), b"/a (deleted)");
        assert_eq!(without_deleted(b"/a (deleted)b"), b"/a (deleted)b");
        assert_eq!(without_deleted(b""), b"");
    }
}
