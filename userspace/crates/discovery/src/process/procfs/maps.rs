//! `/proc/<pid>/maps`: <https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html>

use std::{
    ffi::{OsStr, OsString},
    ops::Range,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::text::{decimal, hexadecimal, lines, shown, split};

/// The kernel's spelling of a line's end in a path; it writes nothing else otherwise than it is.
/// <https://github.com/torvalds/linux/blob/v6.12/fs/proc/task_mmu.c#L270-L331>
const LINE_END: &[u8] = b"\\012";

/// A mapping of a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// Read, write, execute, private or shared, as letters.
    pub permissions: [u8; 4],
    /// The offset in the file of what is at its start.
    pub offset: u64,
    /// Major and minor number of the file's device.
    pub device: (u32, u32),
    /// The file's inode; 0 where there is no file.
    pub inode: u64,
    /// The file, or the kernel's word for what it is: as the kernel writes it. Empty where there is none.
    pub path: OsString,
}

impl Mapping {
    /// Reports that it holds code.
    #[must_use]
    pub fn is_code(&self) -> bool {
        self.permissions[2] == b'x'
    }

    /// Reports that it is of no file, and may be read and written.
    #[must_use]
    pub fn is_anonymous_data(&self) -> bool {
        self.inode == 0 && self.permissions.starts_with(b"rw")
    }

    /// Reports that no other process shares it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.permissions[3] == b'p'
    }

    /// Reports that it is of a file with a path.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.path.as_bytes().starts_with(b"/")
    }

    /// Reports that both are of one file, or of what the kernel calls alike.
    #[must_use]
    pub fn has_file_of(&self, other: &Self) -> bool {
        (self.device, self.inode, &self.path) == (other.device, other.inode, &other.path)
    }

    /// Reports that it is of the file that a symbolic link of the kernel leads to.
    #[must_use]
    pub fn is_of(&self, link: &Path) -> bool {
        escaped(link.as_os_str()) == self.path
    }

    /// The path as it is shown.
    #[must_use]
    pub fn name(&self) -> String {
        shown(self.path.as_bytes())
    }

    /// The paths that the file may have: a name may hold a line's end, or the letters that the kernel writes for it.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let unescaped = unescaped(self.path.as_bytes());
        [Some(PathBuf::from(&self.path)), unescaped.map(super::path)].into_iter().flatten()
    }
}

/// A path as the kernel writes it among mappings.
fn escaped(path: &OsStr) -> OsString {
    let parts: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'\n').collect();
    OsString::from_vec(parts.join(LINE_END))
}

/// The path with line ends in the place of the kernel's letters for them, if there are any.
fn unescaped(path: &[u8]) -> Option<Vec<u8>> {
    let (mut rest, mut plain) = (path, Vec::new());
    while let Some(at) = rest.windows(LINE_END.len()).position(|letters| letters == LINE_END) {
        plain.extend_from_slice(rest.get(..at)?);
        plain.push(b'\n');
        rest = rest.get(at + LINE_END.len()..)?;
    }
    plain.extend_from_slice(rest);
    (plain.len() < path.len()).then_some(plain)
}

/// All mappings, by address.
pub(super) fn parse(maps: &[u8]) -> Vec<Mapping> {
    lines(maps).filter_map(parse_line).collect()
}

/// Parses a line such as `7f12a000-7f15b000 r-xp 00026000 fe:00 1234   /usr/lib/libc.so.6`.
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let (start, end) = split(fields.next()?, b'-')?;
    let range = hexadecimal(start)?..hexadecimal(end)?;
    let permissions = fields.next()?.try_into().ok()?;
    let offset = hexadecimal(fields.next()?)?;
    let (major, minor) = split(fields.next()?, b':')?;
    let device = (u32::try_from(hexadecimal(major)?).ok()?, u32::try_from(hexadecimal(minor)?).ok()?);
    let inode = decimal(fields.next()?)?;
    let path = OsStr::from_bytes(fields.next().unwrap_or_default().trim_ascii_start()).to_owned();
    (range.start < range.end).then_some(Mapping { range, permissions, offset, device, inode, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_read() {
        let maps = b"\
7f12a000-7f15b000 r-xp 00026000 fe:00 1234                       /a b/lib\xff.so.6 (deleted)
7f15b000-7f15c000 rw-p 00000000 00:00 0 
7ffd00000000-7ffd00021000 rw-s 00000000 00:00 0                          [stack]
";
        let [file, none, stack] = parse(maps).try_into().unwrap();
        assert_eq!((file.range, file.offset, file.device), (0x7f12_a000..0x7f15_b000, 0x26000, (0xfe, 0)));
        assert_eq!((file.inode, file.path.as_bytes()), (1234, &b"/a b/lib\xff.so.6 (deleted)"[..]));
        assert!(none.is_anonymous_data() && none.is_private() && !none.is_code() && none.path.is_empty());
        assert!(stack.is_anonymous_data() && !stack.is_private() && !stack.has_file());
        assert_eq!(stack.path, "[stack]");
    }

    #[test]
    fn other_lines_are_left_out() {
        let check = |line: &[u8]| assert_eq!(parse(line), [], "{}", line.escape_ascii());
        check(b"");
        check(b"\xff");
        check(b"7f12a000");
        check(b"7f12a000-7f15b000 r-xp 00026000 fe:00");
        check(b"7f12a000-7f15b000 r-x 00026000 fe:00 1 /a");
        check(b"7f15b000-7f12a000 r-xp 00026000 fe:00 1 /a");
        check(b"17f12a00000000000-17f12a00000000001 r-xp 00026000 fe:00 1 /a");
    }

    #[test]
    fn a_line_end_in_a_name() {
        let line = b"1000-2000 r-xp 00000000 fe:00 7 /a\\012b";
        let mapping = parse_line(line).unwrap();
        assert!(mapping.is_of(Path::new("/a\nb")) && mapping.is_of(Path::new("/a\\012b")));
        assert!(!mapping.is_of(Path::new("/a b")));
        assert_eq!(mapping.paths().collect::<Vec<_>>(), [Path::new("/a\\012b"), Path::new("/a\nb")]);
        let plain = Mapping { path: "/a\\01".into(), ..mapping };
        assert_eq!(plain.paths().collect::<Vec<_>>(), [Path::new("/a\\01")]);
    }
}
