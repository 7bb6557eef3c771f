//! A file system that a kernel unpacks into memory as it starts: a cpio archive in the "new ASCII" format.
//!
//! <https://www.kernel.org/doc/html/v6.12/driver-api/early-userspace/buffer-format.html>

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

const DIRECTORY: u32 = 0o40755;
const PROGRAM: u32 = 0o100_755;
const CONSOLE: u32 = 0o20600;

/// An archive that is being written.
#[derive(Debug)]
pub(super) struct Archive<W> {
    to: W,
    inodes: usize,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    /// Begins one, with the console that the first process writes to.
    pub(super) fn new(to: W) -> io::Result<Self> {
        let mut archive = Self { to, inodes: 0, directories: BTreeSet::new() };
        archive.directory("/dev")?;
        archive.entry("dev/console", CONSOLE, (5, 1), &[])?;
        Ok(archive)
    }

    /// A directory, and those that it is in.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        let mut name = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(part);
            if self.directories.insert(name.clone()) {
                self.entry(&name, DIRECTORY, (0, 0), &[])?;
            }
        }
        Ok(())
    }

    /// A file that may be run.
    pub(super) fn file(&mut self, path: &str, data: &[u8]) -> io::Result<()> {
        let parent = Path::new(path).parent().unwrap_or(Path::new("/"));
        self.directory(&parent.to_string_lossy())?;
        self.entry(path.trim_start_matches('/'), PROGRAM, (0, 0), data)
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.to)
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        self.inodes += 1;
        let (inode, len) = (self.inodes, data.len());
        let head = format!(
            "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{len:08x}{0:08x}{0:08x}{2:08x}{3:08x}{4:08x}{0:08x}",
            0,
            1,
            device.0,
            device.1,
            name.len() + 1
        );
        self.padded(&[head.as_bytes(), name.as_bytes(), &[0]].concat())?;
        self.padded(data)
    }

    fn padded(&mut self, data: &[u8]) -> io::Result<()> {
        self.to.write_all(data)?;
        let rest = data.len().next_multiple_of(4) - data.len();
        self.to.write_all(&[0; 4][..rest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_after_its_directories() {
        let mut archive = Archive::new(Vec::new()).unwrap();
        archive.file("/a/b/c", b"12345").unwrap();
        archive.file("/a/d", b"").unwrap();
        let bytes = archive.finish().unwrap();
        let (mut at, mut names) = (0, Vec::new());
        while at < bytes.len() {
            let number = |field: usize| {
                let from = at + 6 + 8 * field;
                usize::from_str_radix(std::str::from_utf8(&bytes[from..from + 8]).unwrap(), 16).unwrap()
            };
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (name, len) = (number(11), number(6));
            names.push(String::from_utf8(bytes[at + 110..at + 110 + name - 1].to_vec()).unwrap());
            at = (at + 110 + name).next_multiple_of(4) + len.next_multiple_of(4);
        }
        assert_eq!(names, ["dev", "dev/console", "a", "a/b", "a/b/c", "a/d", "TRAILER!!!"]);
    }
}
