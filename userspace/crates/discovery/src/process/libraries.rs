//! The libraries of a process: the C library, where its system calls are for most programs, and those that
//! have a tokio of their own.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::File,
    io::Read as _,
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use super::{
    Process,
    procfs::{self, Mapping},
};
use crate::{
    addr::Bias,
    image::elf::Elf,
    tokio::{version, vtables},
};

/// A larger library is not read.
const LEN_MAX: u64 = 64 << 20;
/// More libraries of these names are not looked at.
const LIBRARIES_MAX: usize = 4;
/// More mapped files are not looked at for a tokio.
const MAPPED_MAX: usize = 1024;
/// Directories in which a library that is not loaded yet is looked for.
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
    /// The place it is mapped at, if it is: an address, and the offset in the file of what is there.
    mapped: Option<(u64, u64)>,
}

impl Library {
    /// A path by which the kernel finds the file for as long as it is held.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        procfs::own_descriptor(self.file.as_raw_fd())
    }

    /// The distance it was moved by; `None` where it is not loaded yet.
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
    for mapping in mapped(process).into_iter().filter(|mapping| makes_calls(&mapping.path)) {
        if found.len() == LIBRARIES_MAX {
            break;
        }
        let library = open(&mapping, process.pid).map(|(file, data)| Library {
            name: mapping.name(),
            file,
            data,
            mapped: Some((mapping.range.start, mapping.offset)),
        });
        found.extend(library);
    }
    found
}

/// The files other than its executable that the process has code of, each once.
fn mapped(process: &Process) -> Vec<Mapping> {
    let mut paths = BTreeSet::new();
    let mappings = procfs::maps(process.pid).into_iter().filter(is_code_of_file);
    let others = mappings.filter(|mapping| !process.is_executable(mapping));
    others.filter(|mapping| paths.insert(mapping.path.clone())).take(MAPPED_MAX).collect()
}

fn is_code_of_file(mapping: &Mapping) -> bool {
    mapping.is_code() && mapping.has_file()
}

/// The files that the process has loaded, by path.
#[derive(Debug, Default)]
pub struct Loaded(BTreeSet<OsString>);

impl Loaded {
    /// Looks at what was not loaded the last time, and tells of each that has a tokio of its own: which, and of
    /// what version if that is known.
    pub fn tokios(&mut self, process: &Process) -> Vec<(String, Option<String>)> {
        let new = mapped(process).into_iter().filter(|mapping| self.0.insert(mapping.path.clone()));
        new.filter_map(|mapping| tokio_in(mapping.name(), &open(&mapping, process.pid)?.1)).collect()
    }
}

/// The library and its tokio's version, if that is known; `None` where it has no tokio.
fn tokio_in(name: String, data: &[u8]) -> Option<(String, Option<String>)> {
    const TRACE: &[u8] = b"tokio";
    // Most libraries have nothing to do with it: the search for its vtables takes much longer.
    data.windows(TRACE.len()).any(|bytes| bytes == TRACE).then_some(())?;
    let elf = Elf::parse(data).ok()?;
    (!vtables::scan(&elf).is_empty()).then(|| (name, version::find(&elf)))
}

/// The C library that a program will load, which stands at its first instruction.
#[must_use]
pub fn to_be_loaded(process: &Process) -> Vec<Library> {
    let root = procfs::root(process.pid);
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
pub struct MappedCode {
    /// The address it starts at.
    pub start: u64,
    /// The address it ends at.
    pub end: u64,
    /// The offset in the file of what is at its start.
    pub offset: u64,
}

impl MappedCode {
    /// The address in memory of what is at this offset in the file, if that is mapped.
    #[must_use]
    pub fn address_of(&self, offset: u64) -> Option<u64> {
        let address = self.start.checked_add(offset.checked_sub(self.offset)?)?;
        (address < self.end).then_some(address)
    }
}

/// All code that the process has mapped of the file with this inode.
#[must_use]
pub fn code_of(process: &Process, inode: u64) -> Vec<MappedCode> {
    let mappings = procfs::maps(process.pid).into_iter().filter(is_code_of_file);
    let of_file = mappings.filter(|mapping| mapping.inode == inode);
    of_file.map(|Mapping { range, offset, .. }| MappedCode { start: range.start, end: range.end, offset }).collect()
}

/// The file: by its mapping, for which some kernels want more privileges, or by its name if it is the same.
fn open(mapping: &Mapping, pid: u32) -> Option<(File, Vec<u8>)> {
    let is_it = |(file, _): &(File, Vec<u8>)| file.metadata().is_ok_and(|data| data.ino() == mapping.inode);
    let by_name = |path: PathBuf| read(&procfs::below_root(pid, &path)).filter(is_it);
    read(&procfs::mapped_file(pid, &mapping.range)).or_else(|| mapping.paths().find_map(by_name))
}

fn makes_calls(path: &OsStr) -> bool {
    let file = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    ["libc.so", "libc-2.", "libpthread", "ld-musl", "libc.musl"].iter().any(|start| file.starts_with(start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_known_by_its_name() {
        let check = |name: &str, expected| assert_eq!(makes_calls(name.as_ref()), expected, "{name}");
        check("/usr/lib/x86_64-linux-gnu/libc.so.6", true);
        check("/lib/libc-2.31.so", true);
        check("/lib/libpthread-2.31.so (deleted)", true);
        check("/lib/ld-musl-x86_64.so.1", true);
        check("/usr/lib/libcrypto.so.3", false);
        check("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", false);
    }
}
