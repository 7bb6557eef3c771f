//! The reader of `/proc`.
//!
//! Names in it are whatever bytes a process chose: they are read as bytes, stay bytes where a file is opened by them,
//! and become text only to be shown. What is read is bounded, and a line that is not as expected is left out.
//!
//! What belongs to all threads of a process (memory, files, the executable) the kernel reports under the process's id
//! only while its first thread lives, so it is asked of any thread; what belongs to one thread is asked of that.

mod cgroups;
mod maps;
mod net;
mod stat;
mod status;
#[cfg(test)]
mod tests;
mod text;

use std::{
    fs::{self, File},
    io::{self, Read as _},
    iter,
    ops::Range,
    os::{
        fd::RawFd,
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Path, PathBuf},
};

pub use self::{
    cgroups::{Cgroup, Mount},
    maps::Mapping,
    net::socket_inode,
    stat::Stat,
    status::Status,
    text::{decimal, field, without_deleted},
};

/// More of a file with a few lines, such as `status`, is not read.
pub const SHORT: u64 = 1 << 20;
/// More of a file with a line for each of many things, such as `maps`, is not read.
const LONG: u64 = 64 << 20;
/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 1 << 20;

/// This program's own executable.
pub const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// Reads at most so many bytes of a file. A line that would go on beyond is left out.
///
/// # Errors
///
/// Those of opening and reading it.
pub fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == most {
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    }
    Ok(bytes)
}

fn of_process(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn of_thread(pid: u32, tid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/task/{tid}"))
}

/// The ids of all processes.
///
/// # Errors
///
/// Those of reading the directory.
pub fn pids() -> io::Result<impl Iterator<Item = u32>> {
    Ok(numbers(fs::read_dir("/proc")?))
}

/// The ids of a process's threads; none if it has ended.
pub fn tids(pid: u32) -> impl Iterator<Item = u32> {
    fs::read_dir(of_process(pid).join("task")).ok().into_iter().flat_map(numbers)
}

fn numbers(directory: fs::ReadDir) -> impl Iterator<Item = u32> {
    directory.flatten().filter_map(|entry| decimal(entry.file_name().as_bytes()))
}

/// The first answer that a thread's directory gives: the first thread's, the others', and the first one's once more,
/// as another thread may have taken its place by an `exec`.
pub fn of_any_thread<T>(pid: u32, answer: impl FnMut(PathBuf) -> Option<T>) -> Option<T> {
    iter::once(pid).chain(tids(pid)).chain([pid]).map(|tid| of_thread(pid, tid)).find_map(answer)
}

/// A file that all threads of the process have alike; empty if the process has ended.
fn shared(pid: u32, name: &str, most: u64) -> Vec<u8> {
    let of_one = |thread: PathBuf| read(thread.join(name), most).ok().filter(|bytes| !bytes.is_empty());
    of_any_thread(pid, of_one).unwrap_or_default()
}

/// The target of a symbolic link of the process, such as `exe` or `fd/1`.
#[must_use]
pub fn link(pid: u32, name: &str) -> Option<PathBuf> {
    of_any_thread(pid, |thread| fs::read_link(thread.join(name)).ok())
}

/// The mappings of the process's memory, by address; none if it has ended.
#[must_use]
pub fn maps(pid: u32) -> Vec<Mapping> {
    maps::parse(&shared(pid, "maps", LONG))
}

/// Returns the status of one thread.
///
/// # Errors
///
/// It has ended, or its status is not one that this reads.
pub fn status(pid: u32, tid: u32) -> io::Result<Status> {
    let status = read(of_thread(pid, tid).join("status"), SHORT)?;
    Status::parse(&status).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown form of status"))
}

/// The statistics of one thread, while it lives.
#[must_use]
pub fn stat(pid: u32, tid: u32) -> Option<Stat> {
    stat_in(&of_thread(pid, tid))
}

/// The statistics of the thread that this directory describes.
#[must_use]
pub fn stat_in(thread: &Path) -> Option<Stat> {
    Stat::parse(&read(thread.join("stat"), SHORT).ok()?)
}

/// The stack pointer of a thread that is asleep in a system call.
#[must_use]
pub fn sleeping_stack_pointer(pid: u32, tid: u32) -> Option<u64> {
    stat::stack_pointer(&read(of_thread(pid, tid).join("syscall"), SHORT).ok()?)
}

/// The name of one thread, while it lives.
#[must_use]
pub fn comm(pid: u32, tid: u32) -> Option<String> {
    let mut comm = read(of_thread(pid, tid).join("comm"), SHORT).ok()?;
    comm.truncate(comm.iter().rposition(|byte| *byte != b'\n').map_or(0, |at| at + 1));
    Some(text::shown(&comm))
}

/// The value of this key in the auxiliary vector.
#[must_use]
pub fn auxiliary(pid: u32, key: u64) -> Option<u64> {
    stat::auxiliary(&read(of_process(pid).join("auxv"), SHORT).ok()?, key)
}

/// The number of descriptors the process may open, if there is a limit.
#[must_use]
pub fn open_files_limit(pid: u32) -> Option<u64> {
    status::soft_limit(&read(of_process(pid).join("limits"), SHORT).ok()?, b"Max open files")
}

/// The inodes of the Unix sockets in the process's network namespace.
#[must_use]
pub fn unix_sockets(pid: u32) -> Vec<u64> {
    net::unix_sockets(&shared(pid, "net/unix", LONG))
}

/// The inodes of the sockets that the process holds.
///
/// # Errors
///
/// Those of reading its directory of descriptors.
pub fn own_sockets(pid: u32) -> io::Result<impl Iterator<Item = u64>> {
    let links = fs::read_dir(of_process(pid).join("fd"))?.flatten().take(DESCRIPTORS_MAX);
    Ok(links.filter_map(|link| socket_inode(&fs::read_link(link.path()).ok()?)))
}

/// The memory cgroups of the process.
#[must_use]
pub fn cgroups(pid: u32) -> Vec<Cgroup> {
    Cgroup::parse(&read(of_process(pid).join("cgroup"), LONG).unwrap_or_default())
}

/// The file systems that this program sees.
#[must_use]
pub fn mounts() -> Vec<Mount> {
    Mount::parse(&read("/proc/self/mountinfo", LONG).unwrap_or_default())
}

/// The file whose link names a namespace of the process, such as `net`.
#[must_use]
pub fn namespace_file(pid: u32, name: &str) -> PathBuf {
    of_process(pid).join("ns").join(name)
}

/// Identifies a namespace of the process, such as `pid`.
///
/// # Errors
///
/// The process has ended, or may not be looked at.
pub fn namespace(pid: u32, name: &str) -> io::Result<PathBuf> {
    fs::read_link(namespace_file(pid, name))
}

/// Identifies a namespace of this program.
///
/// # Errors
///
/// Those of reading the link.
pub fn own_namespace(name: &str) -> io::Result<PathBuf> {
    fs::read_link(Path::new("/proc/self/ns").join(name))
}

/// The machine's name.
#[must_use]
pub fn hostname() -> String {
    read("/proc/sys/kernel/hostname", SHORT).map(|name| text::shown(name.trim_ascii())).unwrap_or_default()
}

/// The file of the process's memory.
#[must_use]
pub fn memory_file(pid: u32) -> PathBuf {
    of_process(pid).join("mem")
}

/// The link to the process's executable, which can be opened whatever became of its name.
#[must_use]
pub fn executable_link(pid: u32) -> PathBuf {
    of_process(pid).join("exe")
}

/// The process's root directory.
#[must_use]
pub fn root(pid: u32) -> PathBuf {
    of_process(pid).join("root")
}

/// A path as the process sees it, as this program can open it.
#[must_use]
pub fn below_root(pid: u32, path: &Path) -> PathBuf {
    let inside = path.strip_prefix("/").unwrap_or(path);
    root(pid).join(inside)
}

/// The link to a mapped file, for which some kernels want more privileges than for its name.
#[must_use]
pub fn mapped_file(pid: u32, range: &Range<u64>) -> PathBuf {
    of_process(pid).join(format!("map_files/{:x}-{:x}", range.start, range.end))
}

/// A path by which the kernel finds a file that this program holds open.
#[must_use]
pub fn own_descriptor(descriptor: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{descriptor}"))
}

/// A path of these bytes.
fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}
