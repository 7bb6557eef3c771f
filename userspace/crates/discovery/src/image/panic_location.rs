//! Places in source files, as panics state them: `core::panic::Location`, which no stripping removes.

use asyncscope_trace::facts::SourcePlace;

use super::elf::Elf;
use crate::addr::ElfAddr;

/// A path longer than this is no source file's.
const PATH_MAX: u64 = 1024;
/// A file with more lines than this was not compiled.
const LINE_MAX: u32 = 1 << 24;
/// The messages with which an async body panics that has already returned; and, beside it, one that has panicked.
const RESUMED: [&[u8]; 2] = [b"`async fn` resumed after completion", b"`async fn` resumed after panicking"];

/// The state of an async body that is told apart by the message of its panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResumedMessage {
    /// State 1: it has returned.
    AfterCompletion,
    /// State 2: it has panicked.
    AfterPanicking,
}

/// The message of such a panic, if the text at the address is one.
#[must_use]
pub fn message_at(elf: &Elf<'_>, address: ElfAddr) -> Option<ResumedMessage> {
    let is = |message: &[u8]| elf.bytes(address, message.len() as u64) == message;
    match RESUMED.map(is) {
        [true, _] => Some(ResumedMessage::AfterCompletion),
        [_, true] => Some(ResumedMessage::AfterPanicking),
        _ => None,
    }
}

/// The message that the list of a message's parts at the address begins with, as older compilers pass it.
#[must_use]
pub fn message_in_parts_at(elf: &Elf<'_>, parts: ElfAddr) -> Option<ResumedMessage> {
    let message = message_at(elf, elf.pointer(parts)?)?;
    let len = RESUMED[usize::from(message == ResumedMessage::AfterPanicking)].len();
    (elf.word(parts.plus(8)) == Some(len as u64)).then_some(message)
}

/// The place that a `core::panic::Location` at this address states, its path made relative.
///
/// `{ file: &str, line: u32, column: u32 }`
/// <https://github.com/rust-lang/rust/blob/1.95.0/library/core/src/panic/location.rs#L31-L42>
#[must_use]
pub fn at(elf: &Elf<'_>, address: ElfAddr) -> Option<SourcePlace> {
    let (file, len) = (elf.pointer(address)?, elf.word(address.plus(8))?);
    if !address.0.is_multiple_of(8) || elf.holds_address(address.plus(8)) || !(1..=PATH_MAX).contains(&len) {
        return None;
    }
    let numbers = elf.word(address.plus(16))?;
    let (line, column) = (numbers as u32, (numbers >> 32) as u32);
    let bytes = elf.bytes(file, len);
    let path = std::str::from_utf8(bytes).ok().filter(|path| path.len() as u64 == len)?;
    let is_path = path.as_bytes().ends_with(b".rs") && !path.chars().any(char::is_control);
    let is_place = (1..=LINE_MAX).contains(&line) && (1..=u32::from(u16::MAX)).contains(&column);
    (is_path && is_place).then(|| SourcePlace { file: shortened(path), line, column })
}

/// The path from the crate on: nothing of whoever built it, and where.
fn shortened(path: &str) -> String {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    let position = |name: &str| parts.iter().position(|&part| part == name);
    if let Some(at) = position("rustc").filter(|&at| parts.get(at + 2) == Some(&"library")) {
        return parts[at + 2..].join("/");
    }
    let src = parts.iter().rposition(|&part| part == "src");
    if let Some((src, before)) = src.and_then(|src| Some((src, src.checked_sub(1)?)))
        && !is_home(&parts, before)
    {
        let name = crate_name(&parts, before);
        return [&[name], &parts[src..]].concat().join("/");
    }
    let folder = src.unwrap_or(parts.len().saturating_sub(2));
    let has_folder = folder + 1 < parts.len() && !is_home(&parts, folder);
    parts[if has_folder { folder } else { parts.len().saturating_sub(1) }..].join("/")
}

/// Returns `true` if the folder is somebody's home, or one of homes.
fn is_home(parts: &[&str], at: usize) -> bool {
    const OF_HOMES: [&str; 4] = ["home", "Users", "users", ".."];
    let holds_homes = |at: usize| OF_HOMES.contains(&parts[at]);
    let is_inside = at.checked_sub(1).is_some_and(holds_homes);
    is_inside || holds_homes(at) || parts[at] == "root" || parts[at].ends_with(':')
}

/// The folder's name; of a checked-out repository, whose folder is called after a commit, the repository's.
fn crate_name<'p>(parts: &[&'p str], at: usize) -> &'p str {
    let is_checkout = at >= 3 && parts[at - 2] == "checkouts" && parts[at - 3] == "git";
    let repository = if is_checkout { parts[at - 1].rsplit_once('-') } else { None };
    repository.map_or(parts[at], |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_show_nothing_of_the_machine_they_come_from() {
        let check = |path: &str, expected: &str| assert_eq!(shortened(path), expected, "{path}");
        let registry = "/home/x/.cargo/registry/src/index-1949cf8c6b5b557f";
        check(&format!("{registry}/hyper-1.6.0/src/proto/mod.rs"), "hyper-1.6.0/src/proto/mod.rs");
        let hash = "59807616e1fa2540724bfbac14d7976d7e4a3860";
        check(&format!("/rustc/{hash}/library/core/src/future.rs"), "library/core/src/future.rs");
        check(&format!("/rustc/{hash}/compiler/x/src/lib.rs"), "x/src/lib.rs");
        check("crates/uv-installer/src/compile.rs", "uv-installer/src/compile.rs");
        check("src/main.rs", "src/main.rs");
        check("./src/main.rs", "src/main.rs");
        check("examples/chat.rs", "examples/chat.rs");
        check("build.rs", "build.rs");
        check("/home/x/work/svc/src/main.rs", "svc/src/main.rs");
        check("/home/x/src/main.rs", "src/main.rs");
        check("/home/x/src/svc/src/main.rs", "svc/src/main.rs");
        check("/root/src/main.rs", "src/main.rs");
        check("/home/x/main.rs", "main.rs");
        check("/home/main.rs", "main.rs");
        check("/Users/x/main.rs", "main.rs");
        check("../../x/src/main.rs", "src/main.rs");
        check("C:\\Users\\x\\svc\\src\\main.rs", "svc/src/main.rs");
        check("C:\\Users\\x\\src\\main.rs", "src/main.rs");
        check("/home/x/.cargo/git/checkouts/h2-0123456789abcdef/89abcde/src/lib.rs", "h2/src/lib.rs");
        check("/home/x/.cargo/git/checkouts/a-b-0123/89abcde/tower/src/lib.rs", "tower/src/lib.rs");
    }
}
