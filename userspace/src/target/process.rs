//! The process to be watched: its executable, where that lies in memory, its threads.

use std::{fs, io, path::PathBuf};

use super::{
    addr::{Bias, RuntimeAddr},
    elf::Elf,
    error::TargetError,
};

/// An executable larger than this is refused: it is read whole.
const EXECUTABLE_MAX: u64 = 4 << 30;
/// `AT_PHDR`: where the program headers are in memory.
/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/auxvec.h#L11>
const AT_PHDR: u64 = 3;

/// A process, held by its id and start time, so that a reused id is noticed.
#[derive(Debug)]
pub struct Process {
    /// Its id in the agent's pid namespace.
    pub pid: u32,
    /// Its command name.
    pub name: String,
    /// Its executable as the kernel names it, with ` (deleted)` where it is.
    pub executable: String,
    start_time: u64,
}

impl Process {
    /// Finds a process by id.
    ///
    /// # Errors
    ///
    /// No such process, or none with an executable.
    pub fn by_pid(pid: u32) -> Result<Self, TargetError> {
        let start_time = start_time(pid).ok_or(TargetError::NoSuchProcess(pid))?;
        let executable = fs::read_link(format!("/proc/{pid}/exe")).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => not_permitted(pid),
            _ if start_time_and_state(pid).is_none() => TargetError::NoSuchProcess(pid),
            _ => TargetError::NoExecutable(pid),
        })?;
        let name = comm(pid, pid).ok_or(TargetError::NoSuchProcess(pid))?;
        Ok(Self { pid, name, executable: executable.to_string_lossy().into_owned(), start_time })
    }

    /// Finds the one process of that command name, or of that executable's file name.
    ///
    /// # Errors
    ///
    /// There is none, or more than one (they are listed).
    pub fn by_name(name: &str) -> Result<Self, TargetError> {
        let processes = fs::read_dir("/proc").map_err(|source| TargetError::Io { what: "/proc".to_owned(), source })?;
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let own = std::process::id();
        let mut found: Vec<Self> = pids
            .filter(|&pid| pid != own)
            .filter_map(|pid| Self::by_pid(pid).ok())
            .filter(|p| p.is_named(name))
            .collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(TargetError::NoSuchName(name.to_owned())),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                found.push(last);
                let mut list: Vec<_> = found.into_iter().map(|p| (p.pid, p.executable)).collect();
                list.sort_unstable();
                Err(TargetError::Ambiguous { name: name.to_owned(), list })
            }
        }
    }

    fn is_named(&self, name: &str) -> bool {
        let file = self.executable.trim_end_matches(" (deleted)").rsplit('/').next();
        self.name == name || file == Some(name)
    }

    /// Where its executable lies, or lay before it was deleted, as the process itself sees it.
    #[must_use]
    pub fn executable_path(&self) -> &str {
        self.executable.trim_end_matches(" (deleted)")
    }

    /// The path by which the kernel finds the very file that runs, even if it was replaced or deleted,
    /// or lies in another mount namespace.
    #[must_use]
    pub fn executable_link(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/exe", self.pid))
    }

    /// The executable's bytes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is larger than 4 GiB.
    pub fn read_executable(&self) -> Result<Vec<u8>, TargetError> {
        let link = self.executable_link();
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => not_permitted(self.pid),
            io::ErrorKind::NotFound => TargetError::Ended(self.pid),
            _ => TargetError::Io { what: self.executable.clone(), source },
        };
        if fs::metadata(&link).map_err(io)?.len() > EXECUTABLE_MAX {
            let why = "is larger than 4 GiB, which asyncscope does not read".to_owned();
            return Err(TargetError::NotWatchable { file: self.executable.clone(), why });
        }
        fs::read(&link).map_err(io)
    }

    /// How far the kernel moved the executable: its program headers' place by the auxiliary vector
    /// against the file's.
    ///
    /// # Errors
    ///
    /// The process ended, or may not be looked at.
    pub fn bias(&self, elf: &Elf<'_>) -> Result<Bias, TargetError> {
        let auxv = fs::read(format!("/proc/{}/auxv", self.pid)).map_err(|_| self.gone_or_forbidden())?;
        let words: Vec<u64> =
            auxv.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_le_bytes)).collect();
        let headers = words.chunks_exact(2).find(|pair| pair[0] == AT_PHDR).ok_or_else(|| self.gone_or_forbidden())?[1];
        Ok(Bias(headers.wrapping_sub(elf.program_headers.0)))
    }

    /// Reads the target's memory. Fewer bytes than asked for, where a page is not there.
    pub fn read_memory(&self, address: RuntimeAddr, buffer: &mut [u8]) -> usize {
        let (Ok(pid), Ok(base)) = (i32::try_from(self.pid), usize::try_from(address.0)) else { return 0 };
        let len = buffer.len();
        let remote = [nix::sys::uio::RemoteIoVec { base, len }];
        let mut local = [io::IoSliceMut::new(buffer)];
        nix::sys::uio::process_vm_readv(nix::unistd::Pid::from_raw(pid), &mut local, &remote).unwrap_or(0)
    }

    /// The ids and names of its threads now.
    #[must_use]
    pub fn threads(&self) -> Vec<(u32, String)> {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return Vec::new() };
        let tids = tasks.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        tids.filter_map(|tid| Some((tid, comm(self.pid, tid)?))).collect()
    }

    /// The name of one thread, while it lives.
    #[must_use]
    pub fn thread_name(&self, tid: u32) -> Option<String> {
        comm(self.pid, tid)
    }

    /// Whether the process still runs: it has not ended, and its id has not been reused.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        start_time_and_state(self.pid)
            .is_some_and(|(start, state)| start == self.start_time && !matches!(state, 'Z' | 'X'))
    }

    fn gone_or_forbidden(&self) -> TargetError {
        if self.is_alive() { not_permitted(self.pid) } else { TargetError::Ended(self.pid) }
    }
}

fn not_permitted(pid: u32) -> TargetError {
    TargetError::NotPermitted { pid, missing: "CAP_SYS_PTRACE is missing".to_owned() }
}

fn comm(pid: u32, tid: u32) -> Option<String> {
    let comm = fs::read(format!("/proc/{pid}/task/{tid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&comm).trim_end_matches('\n').to_owned())
}

fn start_time(pid: u32) -> Option<u64> {
    start_time_and_state(pid).map(|(start, _)| start)
}

/// The state letter and the start time in clock ticks since boot: fields 3 and 22 of `stat`, counted
/// from the last `)` because a command name may hold anything.
fn start_time_and_state(pid: u32) -> Option<(u64, char)> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(18)?.parse().ok()?, state))
}
