//! `/proc/<pid>/cgroup` and `/proc/<pid>/mountinfo`:
//! <https://man7.org/linux/man-pages/man7/cgroups.7.html>,
//! <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>

use std::path::PathBuf;

use super::text::{lines, split};

/// A cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The unified hierarchy, of version 2.
    pub is_unified: bool,
    /// Version 1's, with memory among its controllers.
    pub is_of_memory: bool,
    /// Its place in the hierarchy.
    pub path: PathBuf,
}

impl Cgroup {
    /// Parses lines such as `7:memory:/a/b` and `0::/a/b`.
    pub(crate) fn parse(cgroups: &[u8]) -> Vec<Self> {
        let of_line = |line| {
            let (controllers, path) = split(split(line, b':')?.1, b':')?;
            let path = super::path(path.to_vec());
            Some(Self { is_unified: controllers.is_empty(), is_of_memory: names_memory(controllers), path })
        };
        lines(cgroups).filter_map(of_line).collect()
    }
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory in it that is mounted.
    pub root: PathBuf,
    /// The directory where it is.
    pub point: PathBuf,
    /// Its type, such as `cgroup2`.
    pub kind: Vec<u8>,
    /// Its options, between commas.
    pub options: Vec<u8>,
}

impl Mount {
    /// Parses lines such as `31 29 0:27 / /sys/fs/cgroup rw shared:10 - cgroup2 cgroup2 rw,nsdelegate`.
    pub(crate) fn parse(mounts: &[u8]) -> Vec<Self> {
        let of_line = |line: &[u8]| {
            let mut fields = line.split(|byte| *byte == b' ').skip(3);
            let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
            // Optional fields come between.
            fields.find(|field| *field == b"-")?;
            let (kind, options) = (fields.next()?.to_vec(), fields.nth(1)?.to_vec());
            Some(Self { root, point, kind, options })
        };
        lines(mounts).filter_map(of_line).collect()
    }

    /// Reports that the cgroup's hierarchy is mounted there.
    #[must_use]
    pub fn holds(&self, cgroup: &Cgroup) -> bool {
        match cgroup.is_unified {
            true => self.kind == b"cgroup2",
            false => cgroup.is_of_memory && self.kind == b"cgroup" && names_memory(&self.options),
        }
    }
}

fn names_memory(list: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|name| name == b"memory")
}

/// The path that is meant: spaces, tabs, line ends and backslashes are written as three octal digits.
/// <https://github.com/torvalds/linux/blob/v6.12/fs/proc_namespace.c#L87-L90>
fn unescaped(field: &[u8]) -> PathBuf {
    let (mut plain, mut rest) = (Vec::new(), field);
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| byte == b'\\').and_then(octal);
        plain.push(octal.unwrap_or(byte));
        rest = behind.get(if octal.is_some() { 3 } else { 0 }..).unwrap_or_default();
    }
    super::path(plain)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| matches!(byte, b'0'..=b'7').then(|| u16::from(byte - b'0'));
    let value = digits.iter().try_fold(0, |value, byte| Some(value * 8 + digit(byte)?))?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

    use super::*;

    #[test]
    fn cgroups_of_both_versions() {
        let [memory, cpu, unified] = Cgroup::parse(b"7:cpu,memory:/a:b\n3:cpu:/c\n0::/\xff\n7:x\n").try_into().unwrap();
        assert!(memory.is_of_memory && !memory.is_unified && memory.path == Path::new("/a:b"));
        assert!(!cpu.is_of_memory && !cpu.is_unified);
        assert!(unified.is_unified && unified.path.as_os_str() == OsStr::from_bytes(b"/\xff"));
    }

    #[test]
    fn mounts_with_odd_names() {
        let mounts = b"31 29 0:27 / /sys/\\040a\\134\xff rw,x shared:10 master:1 - cgroup2 cgroup2 rw,nsdelegate\n\
            24 1 0:22 / /proc rw - proc proc rw\n\
            24 1 0:22 / /cut rw\n";
        let [odd, proc] = Mount::parse(mounts).try_into().unwrap();
        assert_eq!(odd.point.as_os_str().as_bytes(), b"/sys/ a\\\xff");
        assert_eq!((odd.root.as_path(), odd.kind.as_slice()), (Path::new("/"), &b"cgroup2"[..]));
        assert_eq!(odd.options, b"rw,nsdelegate");
        assert_eq!(proc.kind, b"proc");
    }

    #[test]
    fn only_whole_escapes_are_taken() {
        let check = |field: &[u8], plain: &[u8]| assert_eq!(unescaped(field).as_os_str().as_bytes(), plain);
        check(b"\\012", b"\n");
        check(b"\\01", b"\\01");
        check(b"\\777", b"\\777");
        check(b"\\089", b"\\089");
        check(b"\\", b"\\");
    }
}
