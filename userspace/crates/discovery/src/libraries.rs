//! The libraries of a process: the C library, where its system calls are for most programs, and those that
//! have a tokio of their own.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read as _,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{addr::Bias, elf::Elf, process::Process, threads, version, vtables};

/// A larger library is not read.
const LEN_MAX: u64 = 64 << 20;
/// More libraries of these names are not looked at.
const LIBRARIES_MAX: usize = 4;
/// More mapped files are not looked at for a tokio.
const MAPPED_MAX: usize = 1024;
/// Where a library is looked for that is not loaded yet.
const DIRECTORIES: [&str; 6] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib"];

/// A library's file.
#[derive(Debug)]
pub struct Library {
    /// Its name, as the process sees it.
    pub name: String,
    /// The very file, whatever becomes of the process's mappings.
    pub file: File,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Where it is mapped, if it is: an address, and the offset in the file of what is there.
    mapped: Option<(u64, u64)>,
}

impl Library {
    /// A path by which the kernel finds the file for as long as it is held.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// How far it was moved; `None` where it is not loaded yet.
    #[must_use]
    pub fn bias(&self, elf: &Elf<'_>) -> Option<Bias> {
        let (start, offset) = self.mapped?;
        Some(Bias(start.wrapping_sub(elf.address_of(offset)?.0)))
    }
}

/// The libraries of the process that make system calls for others: the C library, and before glibc 2.34
/// that of its threads. Those that cannot be read are left out.
#[must_use]
pub fn of(process: &Process) -> Vec<Library> {
    let mut found: Vec<Library> = Vec::new();
    for mapping in mapped(process).into_iter().filter(|mapping| makes_calls(&mapping.name)) {
        if found.len() == LIBRARIES_MAX {
            break;
        }
        let library = mapping.read(process).map(|(file, data)| Library {
            name: mapping.name,
            file,
            data,
            mapped: Some((mapping.start, mapping.offset)),
        });
        found.extend(library);
    }
    found
}

/// The files other than its executable that the process has code of, each once.
fn mapped(process: &Process) -> Vec<Mapping> {
    let maps = threads::maps(process.pid);
    // The kernel escapes a line's end in it, and nothing else.
    let escaped = process.executable.replace('\n', "\\012");
    let mut names = BTreeSet::from([process.executable.clone(), escaped]);
    let mappings = maps.lines().filter_map(Mapping::parse).filter(|mapping| names.insert(mapping.name.clone()));
    mappings.take(MAPPED_MAX).collect()
}

/// What the process has loaded: names of files.
#[derive(Debug, Default)]
pub struct Loaded(BTreeSet<String>);

impl Loaded {
    /// Looks at what was not loaded the last time, and tells of each that has a tokio of its own: which, and of
    /// what version if that is known.
    pub fn tokios(&mut self, process: &Process) -> Vec<(String, Option<String>)> {
        let new = mapped(process).into_iter().filter(|mapping| self.0.insert(mapping.name.clone()));
        new.filter_map(|mapping| Some((tokio_in(&mapping.read(process)?.1)?, mapping.name)))
            .map(|(version, name)| (name, version))
            .collect()
    }
}

/// tokio's version, if a library has one.
fn tokio_in(data: &[u8]) -> Option<Option<String>> {
    const TRACE: &[u8] = b"tokio";
    // Most libraries have nothing to do with it: the search for its vtables takes much longer.
    data.windows(TRACE.len()).any(|bytes| bytes == TRACE).then_some(())?;
    let elf = Elf::parse(data).ok()?;
    (!vtables::scan(&elf).is_empty()).then(|| version::find(&elf))
}

/// The C library that a program will load, which stands at its first instruction.
#[must_use]
pub fn to_be_loaded(process: &Process) -> Vec<Library> {
    let root = PathBuf::from(format!("/proc/{}/root", process.pid));
    let candidates = DIRECTORIES.iter().map(|directory| Path::new(directory).join("libc.so.6"));
    let found = candidates.filter_map(|file| {
        let (opened, data) = read(&root.join(&file))?;
        Some(Library { name: format!("/{}", file.display()), file: opened, data, mapped: None })
    });
    found.take(1).collect()
}

fn read(path: &Path) -> Option<(File, Vec<u8>)> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() > LEN_MAX {
        return None;
    }
    let mut data = Vec::new();
    (&file).take(LEN_MAX).read_to_end(&mut data).ok()?;
    Some((file, data))
}

/// Code of a file in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Where it starts.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// The offset in the file of what is at its start.
    pub offset: u64,
}

impl Code {
    /// Where in memory what is at this offset in the file stands, if that is mapped.
    #[must_use]
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let address = self.start.checked_add(offset.checked_sub(self.offset)?)?;
        (address < self.end).then_some(address)
    }
}

/// All code that the process has mapped of the file with this inode.
#[must_use]
pub fn code_of(process: &Process, inode: u64) -> Vec<Code> {
    let maps = threads::maps(process.pid);
    let mappings = maps.lines().filter_map(Mapping::parse).filter(|mapping| mapping.inode == inode);
    let code = mappings.filter_map(|Mapping { range, start, offset, .. }| {
        Some(Code { start, end: u64::from_str_radix(range.split_once('-')?.1, 16).ok()?, offset })
    });
    code.collect()
}

struct Mapping {
    range: String,
    start: u64,
    offset: u64,
    inode: u64,
    name: String,
}

impl Mapping {
    /// The file: by its mapping, for which some kernels want more privileges, or by its name if it is the same.
    fn read(&self, process: &Process) -> Option<(File, Vec<u8>)> {
        let by_mapping = PathBuf::from(format!("/proc/{}/map_files/{}", process.pid, self.range));
        let by_name = || {
            let path = PathBuf::from(format!("/proc/{}/root{}", process.pid, self.name));
            let is_it = |(file, _): &(File, Vec<u8>)| file.metadata().is_ok_and(|data| data.ino() == self.inode);
            read(&path).filter(is_it)
        };
        read(&by_mapping).or_else(by_name)
    }

    /// A line such as `7f12a000-7f15b000 r-xp 00026000 fe:00 1234   /usr/lib/libc.so.6`, if it is of code.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(6, ' ');
        let (range, access, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let inode = fields.nth(1)?.parse().ok()?;
        let name = fields.next()?.trim_start();
        let start = u64::from_str_radix(range.split_once('-')?.0, 16).ok()?;
        let offset = u64::from_str_radix(offset, 16).ok()?;
        let is_code = access.contains('x') && name.starts_with('/');
        is_code.then(|| Self { range: range.to_owned(), start, offset, inode, name: name.to_owned() })
    }
}

fn makes_calls(name: &str) -> bool {
    let file = name.trim_end_matches(" (deleted)").rsplit('/').next().unwrap_or_default();
    ["libc.so", "libc-2.", "libpthread", "ld-musl", "libc.musl"].iter().any(|start| file.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_known_by_its_name() {
        let check = |name, expected| assert_eq!(makes_calls(name), expected, "{name}");
        check("/usr/lib/x86_64-linux-gnu/libc.so.6", true);
        check("/lib/libc-2.31.so", true);
        check("/lib/libpthread-2.31.so (deleted)", true);
        check("/lib/ld-musl-x86_64.so.1", true);
        check("/usr/lib/libcrypto.so.3", false);
        check("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", false);
    }

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f12a000-7f15b000 r-xp 00026000 fe:00 1234                       /a b/libc.so.6 (deleted)";
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!((mapping.start, mapping.offset, mapping.inode), (0x7f12_a000, 0x26000, 1234));
        assert_eq!((mapping.range.as_str(), mapping.name.as_str()), ("7f12a000-7f15b000", "/a b/libc.so.6 (deleted)"));
        assert!(Mapping::parse("7f12a000-7f15b000 rw-p 00026000 fe:00 1234 /lib/libc.so.6").is_none());
        assert!(Mapping::parse("7f12a000-7f15b000 r-xp 00000000 00:00 0 ").is_none());
        assert!(Mapping::parse("").is_none());
    }
}
