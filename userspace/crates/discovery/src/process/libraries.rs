//! The libraries of a process: the C library, where its system calls are for most programs, and those that
//! have a tokio of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// A larger C library is not read.
const LEN_MAX: u64 = 64 << 20;
/// A larger file is not looked at for a tokio.
const TOKIO_LEN_MAX: u64 = 1 << 30;
/// More libraries of these names are not looked at.
const LIBRARIES_MAX: usize = 4;
/// More mapped files are not looked at for a tokio.
const MAPPED_MAX: usize = 1024;
/// More descendants of a process are not looked at for a tokio.
const DESCENDANTS_MAX: usize = 64;
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
        found.extend(library(&mapping, process.pid, LEN_MAX));
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
    /// Looks at what was not loaded the last time, and tells of each that has a tokio of its own.
    pub fn tokios(&mut self, process: &Process) -> Vec<LibraryTokio> {
        let new = mapped(process).into_iter().filter(|mapping| self.0.insert(mapping.path.clone()));
        new.filter_map(|mapping| {
            let (_, data) = open(&mapping, process.pid, TOKIO_LEN_MAX)?;
            let version = version::find(&with_tokio(&data)?);
            Some(LibraryTokio { name: mapping.name(), version, mapping })
        })
        .collect()
    }
}

/// A library with a tokio of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryTokio {
    /// Its name, as the process sees it.
    pub name: String,
    /// Its tokio's version, if that is known.
    pub version: Option<String>,
    mapping: Mapping,
}

impl LibraryTokio {
    /// Reads the library. `None`: it is no longer there, or was replaced.
    #[must_use]
    pub fn open(&self, process: &Process) -> Option<Library> {
        library(&self.mapping, process.pid, TOKIO_LEN_MAX)
    }

    /// The path by which the process sees it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let path = super::procfs::without_deleted(self.mapping.path.as_bytes());
        PathBuf::from(OsStr::from_bytes(path))
    }
}

/// The parsed file, if it has a tokio.
fn with_tokio(data: &[u8]) -> Option<Elf<'_>> {
    const TRACE: &[u8] = b"tokio";
    // Most files have nothing to do with it: the search for its vtables takes much longer.
    data.windows(TRACE.len()).any(|bytes| bytes == TRACE).then_some(())?;
    let elf = Elf::parse(data).ok()?;
    (!vtables::scan(&elf).is_empty()).then_some(elf)
}

fn library(mapping: &Mapping, pid: u32, len_max: u64) -> Option<Library> {
    let (file, data) = open(mapping, pid, len_max)?;
    Some(Library { name: mapping.name(), file, data, mapped: Some((mapping.range.start, mapping.offset)) })
}

/// A descendant of a process that has a tokio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescendantTokio {
    /// The descendant's id in the agent's pid namespace.
    pub pid: u32,
    /// The file with the tokio, as the descendant sees it.
    pub file: String,
}

/// The children of a process, and theirs, that have a tokio in their executable or in a library, by their ids: of the
/// first 64 descendants.
#[must_use]
pub fn descendants_with_tokio(pid: u32) -> Vec<DescendantTokio> {
    // Forked processes have the same files.
    let mut known: BTreeMap<(u64, OsString), bool> = BTreeMap::new();
    let mut has_tokio = |mapping: &Mapping, pid: u32| {
        let look = || open(mapping, pid, TOKIO_LEN_MAX).is_some_and(|(_, data)| with_tokio(&data).is_some());
        *known.entry((mapping.inode, mapping.path.clone())).or_insert_with(look)
    };
    let of_descendant = |pid: u32| {
        let mut mappings = procfs::maps(pid).into_iter().filter(is_code_of_file).take(MAPPED_MAX);
        let mapping = mappings.find(|mapping| has_tokio(mapping, pid))?;
        Some(DescendantTokio { pid, file: mapping.name() })
    };
    descendants(pid).into_iter().filter_map(of_descendant).collect()
}

/// The ids of the children of a process, of theirs, and so on.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let Ok(pids) = procfs::pids() else { return BTreeSet::new() };
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, procfs::stat(pid, pid)?.parent))).collect();
    let (mut found, mut line) = (BTreeSet::new(), vec![pid]);
    while let Some(parent) = line.pop() {
        let children = parents.iter().filter(|&&(child, of)| of == parent && child != pid).map(|&(child, _)| child);
        for child in children {
            if found.len() < DESCENDANTS_MAX && found.insert(child) {
                line.push(child);
            }
        }
    }
    found
}

/// The C library that a program will load, which stands at its first instruction.
#[must_use]
pub fn to_be_loaded(process: &Process) -> Vec<Library> {
    let root = procfs::root(process.pid);
    let candidates = DIRECTORIES.iter().map(|directory| Path::new(directory).join("libc.so.6"));
    let found = candidates.filter_map(|file| {
        let (opened, data) = read(&root.join(&file), LEN_MAX)?;
        Some(Library { name: format!("/{}", file.display()), file: opened, data, mapped: None })
    });
    found.take(1).collect()
}

fn read(path: &Path, len_max: u64) -> Option<(File, Vec<u8>)> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() > len_max {
        return None;
    }
    let mut data = Vec::new();
    (&file).take(len_max).read_to_end(&mut data).ok()?;
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
fn open(mapping: &Mapping, pid: u32, len_max: u64) -> Option<(File, Vec<u8>)> {
    let is_it = |(file, _): &(File, Vec<u8>)| file.metadata().is_ok_and(|data| data.ino() == mapping.inode);
    let by_name = |path: PathBuf| read(&procfs::below_root(pid, &path), len_max).filter(is_it);
    read(&procfs::mapped_file(pid, &mapping.range), len_max).or_else(|| mapping.paths().find_map(by_name))
}

fn makes_calls(path: &OsStr) -> bool {
    let file = path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    ["libc.so", "libc-2.", "libpthread", "ld-musl", "libc.musl"].iter().any(|start| file.starts_with(start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_by_their_parents() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = descendants(std::process::id());
        assert!(found.contains(&child.id()) && !found.contains(&std::process::id()), "{found:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants(std::process::id()).contains(&child.id()));
    }

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
