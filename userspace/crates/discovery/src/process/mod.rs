//! The process to be watched: its executable, where that lies in memory, its threads.

pub mod idle_threads;
pub mod libraries;
mod memory;
pub mod memory_limit;
pub mod procfs;
pub mod sockets;
pub mod thread_pointers;
pub mod threads;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use self::{memory::Memory, procfs::Mapping, threads::First};
use crate::{
    addr::{Bias, RuntimeAddr},
    error::{TargetError, TraceRefusal},
    image::elf::Elf,
};

/// An executable larger than this is refused: it is read whole.
const EXECUTABLE_MAX: u64 = 4 << 30;
/// `AT_PHDR`: where the program headers are in memory.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/auxvec.h#L11>
const AT_PHDR: u64 = 3;

/// A process, held by its id and start time, so that a reused id is noticed, and by its memory and its
/// executable's file, so that what is read and hooked is always the program that was found.
#[derive(Debug)]
pub struct Process {
    /// Its id in the agent's pid namespace.
    pub pid: u32,
    /// Its command name.
    pub name: String,
    /// Its executable as the kernel names it, with ` (deleted)` where it is; to be shown.
    pub executable: String,
    link: PathBuf,
    start_time: u64,
    /// `None`: it may not be read.
    memory: Option<Memory>,
    file: File,
}

impl Process {
    /// Finds a process by id.
    ///
    /// # Errors
    ///
    /// No such process, or none with an executable.
    pub fn by_pid(pid: u32) -> Result<Self, TargetError> {
        let start_time = procfs::stat(pid, pid).ok_or(TargetError::NoSuchProcess(pid))?.start_time;
        let first = threads::first_settled(pid, start_time);
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => not_permitted(pid),
            _ if first == First::Left && threads::any_runs(pid, start_time) => TargetError::FirstThreadLeft(pid),
            _ if threads::first(pid, start_time) == First::Gone => TargetError::NoSuchProcess(pid),
            _ => TargetError::NoExecutable(pid),
        };
        let executable = procfs::executable_link(pid);
        let link = fs::read_link(&executable).map_err(refused)?;
        // The memory first: an exec between the two leaves none, where the other way round it would leave
        // the memory of one program and the file of another.
        let memory = Memory::open(pid).ok();
        let file = File::open(&executable).map_err(refused)?;
        let name = procfs::comm(pid, pid).ok_or(TargetError::NoSuchProcess(pid))?;
        Ok(Self { pid, name, executable: link.to_string_lossy().into_owned(), link, start_time, memory, file })
    }

    /// Finds a process by the id that it has in the pid namespace of another process, such as a container's
    /// first.
    ///
    /// # Errors
    ///
    /// No such process there, or none with an executable.
    pub fn by_pid_in_namespace_of(member: u32, pid: u32) -> Result<Self, TargetError> {
        let namespace = procfs::namespace(member, "pid").map_err(|_| TargetError::NoSuchProcess(member))?;
        let is_it = |&candidate: &u32| {
            procfs::status(candidate, candidate).is_ok_and(|status| status.innermost_id == Some(pid))
                && procfs::namespace(candidate, "pid").is_ok_and(|its| its == namespace)
        };
        let found = all_pids()?.find(is_it).ok_or(TargetError::NotInNamespace { pid, member })?;
        Self::by_pid(found)
    }

    /// Finds the one process of that command name, or of that executable's file name.
    ///
    /// # Errors
    ///
    /// There is none, or more than one (they are listed).
    pub fn by_name(name: &str) -> Result<Self, TargetError> {
        let own = std::process::id();
        let mut found: Vec<(u32, String)> = all_pids()?
            .filter(|&pid| pid != own)
            .filter_map(|pid| Some((pid, executable_if_named(pid, name)?)))
            .collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(TargetError::NoSuchName(name.to_owned())),
            (Some((only, _)), true) => Self::by_pid(only),
            (Some(last), false) => {
                found.push(last);
                found.sort_unstable();
                Err(TargetError::Ambiguous { name: name.to_owned(), list: found })
            }
        }
    }

    /// The path its executable lies at, or lay at before it was deleted, as the process itself sees it.
    #[must_use]
    pub fn executable_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(procfs::without_deleted(self.link.as_os_str().as_bytes())))
    }

    /// Reports that the mapping is of its executable.
    pub(super) fn is_executable(&self, mapping: &Mapping) -> bool {
        mapping.is_of(&self.link)
    }

    /// A path by which the kernel finds the executable's file for as long as this lives, even if it was
    /// replaced or deleted, lies in another mount namespace, or the process runs another one meanwhile.
    #[must_use]
    pub fn executable_link(&self) -> PathBuf {
        procfs::own_descriptor(self.file.as_raw_fd())
    }

    /// The executable's bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is larger than 4 GiB.
    pub fn read_executable(&self) -> Result<Vec<u8>, TargetError> {
        let io = |error: io::Error| TargetError::Io { what: self.executable.clone(), error };
        if self.file.metadata().map_err(io)?.len() > EXECUTABLE_MAX {
            return Err(TargetError::TooLarge { file: self.executable.clone() });
        }
        fs::read(self.executable_link()).map_err(io)
    }

    /// The distance the kernel moved the executable by: its program headers' place by the auxiliary vector
    /// against the file's, or, where that vector is for the process's owner only, the place of its first
    /// mapping.
    ///
    /// # Errors
    ///
    /// The process ended, or may not be looked at.
    pub fn bias(&self, elf: &Elf<'_>) -> Result<Bias, TargetError> {
        let bias = match procfs::auxiliary(self.pid, AT_PHDR) {
            Some(headers) => Some(headers.wrapping_sub(elf.program_headers.0)),
            None => self.bias_by_mapping(elf),
        };
        bias.map(Bias).ok_or_else(|| self.gone_or_forbidden())
    }

    fn bias_by_mapping(&self, elf: &Elf<'_>) -> Option<u64> {
        let maps = procfs::maps(self.pid);
        let first = maps.iter().find(|mapping| mapping.offset == 0 && self.is_executable(mapping))?;
        Some(first.range.start.wrapping_sub(elf.at_file_start()?.0))
    }

    /// Reads the target's memory. Fewer bytes than asked for, where a page is not there.
    pub fn read_memory(&self, address: RuntimeAddr, buffer: &mut [u8]) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.read(address, buffer))
    }

    /// Returns `true` if its memory may be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.memory.is_some()
    }

    /// Returns `true` if it runs on as another program than the one found here, by `exec`.
    #[must_use]
    pub fn became_another(&self) -> bool {
        let is_gone = self.memory.as_ref().is_some_and(|memory| !memory.is_there());
        // A process that ends has no executable any more either.
        is_gone && self.executable_now().is_some() && self.is_alive()
    }

    /// The executable it runs now, as the kernel names it.
    #[must_use]
    pub fn executable_now(&self) -> Option<String> {
        Some(procfs::link(self.pid, "exe")?.to_string_lossy().into_owned())
    }

    /// The ids and names of its threads now.
    #[must_use]
    pub fn threads(&self) -> Vec<(u32, String)> {
        procfs::tids(self.pid).filter_map(|tid| Some((tid, procfs::comm(self.pid, tid)?))).collect()
    }

    /// The name of one thread, while it lives.
    #[must_use]
    pub fn thread_name(&self, tid: u32) -> Option<String> {
        procfs::comm(self.pid, tid)
    }

    /// Returns `true` if the process still runs: a thread of it does, and its id has not been reused.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        threads::any_runs(self.pid, self.start_time)
    }

    /// Makes sure that its first thread is there, by which the kernel finds where hooks belong. One whose place an
    /// `exec` is about to take is waited for, though not for long.
    ///
    /// # Errors
    ///
    /// It has left, or all have.
    pub fn with_first_thread(&self) -> Result<(), TargetError> {
        match threads::first_settled(self.pid, self.start_time) {
            First::Runs => Ok(()),
            First::Left if self.is_alive() => Err(TargetError::FirstThreadLeft(self.pid)),
            First::Left | First::Gone => Err(TargetError::Ended(self.pid)),
        }
    }

    /// Returns `true` if its first thread has left, for good or until an `exec` of another one takes its place.
    #[must_use]
    pub fn first_thread_left(&self) -> bool {
        threads::first(self.pid, self.start_time) == First::Left
    }

    /// Returns `true` if the process has ended, or is about to: it has given its memory back, and so has no executable
    /// any more.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let executable = |thread: PathBuf| match fs::read_link(thread.join("exe")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It may not be looked at, but is there.
            told => Some(told),
        };
        !self.is_alive() || procfs::of_any_thread(self.pid, executable).is_none()
    }

    fn gone_or_forbidden(&self) -> TargetError {
        if self.is_ending() { TargetError::Ended(self.pid) } else { not_permitted(self.pid) }
    }
}

fn not_permitted(pid: u32) -> TargetError {
    TargetError::NotPermitted { pid, refusal: TraceRefusal::NoCapability }
}

/// The executable of the process, if that is its file's name, or the process's.
fn executable_if_named(pid: u32, name: &str) -> Option<String> {
    let link = fs::read_link(procfs::executable_link(pid)).ok()?;
    let path = procfs::without_deleted(link.as_os_str().as_bytes());
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_named = String::from_utf8_lossy(file) == name || procfs::comm(pid, pid).as_deref() == Some(name);
    is_named.then(|| link.to_string_lossy().into_owned())
}

fn all_pids() -> Result<impl Iterator<Item = u32>, TargetError> {
    procfs::pids().map_err(|error| TargetError::Io { what: "/proc".to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_on_this_process() {
        let own = Process::by_pid(std::process::id()).unwrap();
        let data = own.read_executable().unwrap();
        let elf = Elf::parse(&data).unwrap();
        assert_eq!(own.bias_by_mapping(&elf), Some(own.bias(&elf).unwrap().0));
    }
}
