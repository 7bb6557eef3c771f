//! The search for debug files: as told, by build id, or by the name that the executable carries.
//! <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html>

use std::{
    collections::BTreeSet,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use object::{LittleEndian as LE, read::Object as _, read::elf::ElfFile64};

use super::{DebugError, DebugFile, Options, fits, open, sections};
use crate::{image::elf::Elf, process::procfs};

/// The system's store of debug files.
const STORE: &str = "/usr/lib/debug";
/// No more files than this are looked at in a directory of unstripped twins.
const FILES_MAX: usize = 20_000;
/// Directories nested deeper are not looked into.
const DEPTH_MAX: u8 = 8;

/// A file with the symbols or debug info of the executable's build: the one that was given, the
/// executable itself, or one from the usual places, also as the process sees them.
///
/// # Errors
///
/// The given file cannot be read, is of another build, or has nothing to offer.
pub fn find(
    elf: &Elf<'_>,
    executable: &Path,
    pid: Option<u32>,
    options: &Options,
) -> Result<Option<DebugFile>, DebugError> {
    if let Some(given) = &options.debug_file {
        return self::given(elf, executable, given).map(Some);
    }
    let roots = roots(pid);
    if sections::has_info(elf.data()) {
        return Ok(Some(DebugFile::executable(&below(roots.last().map_or(Path::new("/"), |root| root), executable))));
    }
    let candidates = by_build_id(elf, &roots).into_iter().map(|path| (path, None));
    let linked = by_debug_link(elf, executable, &roots).into_iter().map(|(path, checksum)| (path, Some(checksum)));
    let found = candidates.chain(linked).find_map(|(path, checksum)| {
        let data = open::read(&path).ok()?;
        let intact = checksum.is_none_or(|checksum| crc32fast::hash(&data) == checksum);
        (intact && fits::check(elf.data(), &data).is_ok() && has_names(&data))
            .then_some(DebugFile { path, data: Some(data) })
    });
    let own = || (!elf.symbols().is_empty()).then(|| DebugFile::executable(executable));
    Ok(found.or_else(own))
}

fn given(elf: &Elf<'_>, executable: &Path, path: &Path) -> Result<DebugFile, DebugError> {
    let given = || path.to_owned();
    let file = if path.is_dir() {
        let no_twin = || DebugError::NoTwin { given: given(), build_id: elf.build_id.clone() };
        twin_in(elf, executable, path).ok_or_else(no_twin)?
    } else {
        path.to_owned()
    };
    let data = open::read(&file).map_err(|error| DebugError::Unreadable { given: given(), error })?;
    fits::check(elf.data(), &data).map_err(|mismatch| DebugError::OtherBuild { given: given(), mismatch })?;
    if has_names(&data) {
        Ok(DebugFile { path: file, data: Some(data) })
    } else {
        Err(DebugError::NoNames { given: given() })
    }
}

fn has_names(data: &[u8]) -> bool {
    sections::has_info(data)
        || ElfFile64::<LE>::parse(data).is_ok_and(|file| object::read::Object::symbols(&file).next().is_some())
}

/// The agent's root directory, and the process's own.
fn roots(pid: Option<u32>) -> Vec<PathBuf> {
    let own = PathBuf::from("/");
    [Some(own), pid.map(procfs::root)].into_iter().flatten().collect()
}

/// An absolute path as seen below a root; a relative one stays what it is.
fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix("/").map_or_else(|_| path.to_owned(), |inside| root.join(inside))
}

fn by_build_id(elf: &Elf<'_>, roots: &[PathBuf]) -> Vec<PathBuf> {
    let Some((first, rest)) = elf.build_id.as_ref().and_then(|id| id.split_at_checked(2)) else { return Vec::new() };
    let path = format!("{STORE}/.build-id/{first}/{rest}.debug");
    roots.iter().map(|root| below(root, Path::new(&path))).collect()
}

/// The places for the file that `.gnu_debuglink` names, and its checksum.
fn by_debug_link(elf: &Elf<'_>, executable: &Path, roots: &[PathBuf]) -> Vec<(PathBuf, u32)> {
    let link = ElfFile64::<LE>::parse(elf.data()).ok().and_then(|file| file.gnu_debuglink().ok().flatten());
    let Some((name, checksum)) = link else { return Vec::new() };
    let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_file_name(name)) else { return Vec::new() };
    let Some(directory) = executable.parent() else { return Vec::new() };
    let inside = directory.strip_prefix("/").unwrap_or(directory);
    let places = [directory.to_owned(), directory.join(".debug"), Path::new(STORE).join(inside)];
    let found = roots.iter().flat_map(|root| places.iter().map(|place| below(root, place).join(name)));
    found.collect::<BTreeSet<_>>().into_iter().map(|path| (path, checksum)).collect()
}

/// Returns `true` if it names a file in a directory, and nothing further away.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\0'])
}

/// The file of the executable's build in a directory: by build id, or by name where it has none.
fn twin_in(elf: &Elf<'_>, executable: &Path, directory: &Path) -> Option<PathBuf> {
    let wanted = open::build_id_of(elf.data());
    let name = executable.file_name()?.as_bytes();
    let is_twin = |path: &Path| match &wanted {
        Some(id) => open::build_id(path).as_ref() == Some(id) && open::read(path).is_ok_and(|data| has_names(&data)),
        None => {
            path.file_name().is_some_and(|file| file.as_bytes().starts_with(name))
                && open::read(path).is_ok_and(|data| has_names(&data) && fits::check(elf.data(), &data).is_ok())
        }
    };
    files_in(directory).into_iter().find(|path| is_twin(path))
}

/// The files in a directory and those inside it, the nearest first. Directories are not followed by links.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut level = vec![directory.to_owned()];
    for _ in 0..DEPTH_MAX {
        let mut inside = Vec::new();
        for entry in level.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten() {
            if files.len() + inside.len() >= FILES_MAX {
                return files;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => inside.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
        level = inside;
    }
    files
}
