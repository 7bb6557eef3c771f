//! A process's memory, held: once the process has become another program, by `exec`, nothing of that one's
//! is read.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use nix::{
    errno::Errno,
    sys::uio::{RemoteIoVec, process_vm_readv},
    unistd::Pid,
};

use super::procfs;
use crate::addr::RuntimeAddr;

/// The memory of the program that ran when this was opened.
#[derive(Debug)]
pub(super) enum Memory {
    /// <https://man7.org/linux/man-pages/man5/proc_pid_mem.5.html>
    Held(File),
    /// Used where only its owner may open that file, whatever capability allows to read the memory. An exec is
    /// noticed afterwards, by [`AddressSpace`].
    /// <https://man7.org/linux/man-pages/man2/process_vm_readv.2.html>
    ByCall(Pid, AddressSpace),
}

/// An address space, told from others by the beginnings of its code and stack, which the kernel chooses anew for each
/// program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressSpace {
    code: u64,
    stack: u64,
}

impl AddressSpace {
    /// `None` where that is not told, or no program is left.
    fn of(pid: Pid) -> Option<Self> {
        procfs::of_any_thread(pid.as_raw().unsigned_abs(), |thread| {
            let stat = procfs::stat_in(&thread)?;
            let place = Self { code: stat.start_code, stack: stat.start_stack };
            Some(place).filter(|place| place.code != 0 && place.stack != 0)
        })
    }
}

impl Memory {
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        match File::open(procfs::memory_file(pid)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Self::by_call(pid).ok_or(error),
            opened => opened.map(Self::Held),
        }
    }

    fn by_call(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?);
        let own = AddressSpace::of(pid)?;
        let is_readable = call(pid, RuntimeAddr(own.code), &mut [0]) == 1;
        is_readable.then_some(Self::ByCall(pid, own))
    }

    /// Reads up to the first page that is not there.
    pub(super) fn read(&self, address: RuntimeAddr, buffer: &mut [u8]) -> usize {
        match self {
            Self::Held(file) => read(file, address, buffer),
            Self::ByCall(pid, _) => call(*pid, address, buffer),
        }
    }

    /// Returns `true` if it is still there. It is not once no thread of the program is left: then any read of the file
    /// ends at once, where one at an address without memory is an error as long as there is some.
    /// <https://github.com/torvalds/linux/blob/v6.12/fs/proc/base.c#L840-L891>
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Held(file) => !matches!(file.read_at(&mut [0], 0), Ok(0)),
            Self::ByCall(pid, own) => AddressSpace::of(*pid) == Some(*own),
        }
    }
}

fn read(file: &File, address: RuntimeAddr, buffer: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, address.0.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    done
}

fn call(pid: Pid, address: RuntimeAddr, buffer: &mut [u8]) -> usize {
    let Ok(base) = usize::try_from(address.0) else { return 0 };
    let remote = [RemoteIoVec { base, len: buffer.len() }];
    let mut by = |thread| process_vm_readv(thread, &mut [io::IoSliceMut::new(&mut *buffer)], &remote);
    match by(pid) {
        // The first thread has left: the memory is that of the others.
        Err(Errno::ESRCH) => {
            let threads = procfs::tids(pid.as_raw().unsigned_abs()).filter_map(|tid| i32::try_from(tid).ok());
            threads.map(Pid::from_raw).find_map(|thread| by(thread).ok()).unwrap_or(0)
        }
        read => read.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn reads_up_to_what_is_not_there() {
        let text = *b"some words of this program's own";
        let pid = std::process::id();
        for memory in [Memory::open(pid).unwrap(), Memory::by_call(pid).unwrap()] {
            let mut read = [0; 32];
            assert_eq!(memory.read(RuntimeAddr(text.as_ptr() as u64), &mut read), 32);
            assert_eq!(read, text);
            assert_eq!(memory.read(RuntimeAddr(0), &mut read), 0);
            assert_eq!(memory.read(RuntimeAddr(u64::MAX - 3), &mut read), 0);
            assert!(memory.is_there());
        }
    }

    /// A shell says so before it becomes `cat`, which says what it reads.
    #[test]
    fn an_exec_is_noticed() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo shell; read line; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut input, mut lines) =
            (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
        assert_eq!(lines.next().unwrap().unwrap(), "shell");
        let memories = [Memory::open(child.id()).unwrap(), Memory::by_call(child.id()).unwrap()];
        assert!(memories.iter().all(Memory::is_there));
        io::Write::write_all(&mut input, b"become\nanother\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "another");
        assert!(!memories.iter().any(Memory::is_there));
        drop(input);
        child.wait().unwrap();
    }
}
