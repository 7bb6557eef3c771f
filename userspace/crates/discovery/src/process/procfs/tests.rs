//! This process as the reader sees it, and bytes that no kernel writes.

use std::{
    ffi::CString,
    fs,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::Path,
};

use proptest::prelude::*;

use super::*;

fn own() -> (u32, u32) {
    (std::process::id(), nix::unistd::gettid().as_raw().cast_unsigned())
}

#[test]
fn this_process() {
    let (pid, tid) = own();
    assert!(pids().unwrap().any(|it| it == pid) && tids(pid).any(|it| it == tid));
    let status = status(pid, tid).unwrap();
    assert_eq!((status.tgid, status.users[0]), (pid, nix::unistd::getuid().as_raw()));
    assert!(status.innermost_id.is_some());
    let stat = stat(pid, pid).unwrap();
    assert!(!stat.has_left() && stat.start_time > 0);
    let maps = maps(pid);
    assert!(maps.iter().any(|mapping| mapping.path == "[stack]" && mapping.range.contains(&stat.start_stack)));
    let executable = link(pid, "exe").unwrap();
    assert_eq!(Some(&executable), std::env::current_exe().ok().as_ref());
    assert!(maps.iter().any(|mapping| mapping.is_code() && mapping.is_of(&executable)));
    assert_eq!(link(pid, "none"), None);
    assert_eq!(auxiliary(pid, 6), Some(4096));
    assert!(open_files_limit(pid).is_none_or(|limit| limit > 2));
    assert_eq!(namespace(pid, "net").unwrap(), own_namespace("net").unwrap());
    assert!(mounts().iter().any(|mount| mount.kind == b"proc"));
    assert!(!hostname().is_empty());
}

#[test]
fn a_process_that_is_none() {
    const NONE: u32 = u32::MAX;
    assert!(maps(NONE).is_empty() && unix_sockets(NONE).is_empty() && cgroups(NONE).is_empty());
    assert!(status(NONE, NONE).is_err() && stat(NONE, NONE).is_none() && comm(NONE, NONE).is_none());
    assert!(tids(NONE).next().is_none() && link(NONE, "exe").is_none() && own_sockets(NONE).is_err());
}

#[test]
fn a_name_that_is_no_text_hides_nothing() {
    let (pid, tid) = own();
    let check = |name: &[u8], shown: &str| {
        let name = CString::new(name).unwrap();
        // SAFETY: the name is live and ends with a zero. It is this thread's alone.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
        assert_eq!(status(pid, tid).unwrap().tgid, pid);
        assert!(stat(pid, tid).is_some());
        assert_eq!(comm(pid, tid).unwrap(), shown);
    };
    check(b"\xff\xfe", "\u{fffd}\u{fffd}");
    // The kernel cuts names after 15 bytes.
    check("0123456789abcd\u{202e}".as_bytes(), "0123456789abcd\u{fffd}");
    check(b"a\nUid: 0\n", "a\nUid: 0");
}

/// The kernel's own lines for mapped files of such names.
#[test]
fn files_of_odd_names_are_mapped() {
    let directory = std::env::temp_dir().join(format!("asyncscope-procfs-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let check = |name: &[u8]| {
        let path = directory.join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, [1; LEN]).unwrap();
        let file = File::open(&path).unwrap();
        let mapped = mapped(&file);
        let mappings = maps(std::process::id());
        let mapping = mappings.iter().find(|mapping| mapping.is_of(&path)).unwrap();
        assert_eq!(mapping.range.start, mapped as u64);
        assert!(mapping.paths().any(|it| it == path));
        // SAFETY: nothing refers to what was mapped above.
        assert_eq!(unsafe { libc::munmap(mapped, LEN) }, 0);
    };
    check(b"\xff");
    check(b"a\nb");
    check(b"a\\012b c");
    fs::remove_dir_all(&directory).unwrap();
}

const LEN: usize = 4096;

fn mapped(file: &File) -> *mut libc::c_void {
    let (at, fd) = (std::ptr::null_mut(), file.as_raw_fd());
    // SAFETY: a new mapping, which overlaps with none.
    let mapped = unsafe { libc::mmap(at, LEN, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0) };
    assert_ne!(mapped, libc::MAP_FAILED);
    mapped
}

#[test]
fn what_is_read_is_bounded() {
    let path = std::env::temp_dir().join(format!("asyncscope-bounded-{}", std::process::id()));
    fs::write(&path, b"one\ntwo\nthree").unwrap();
    let check = |most, expected: &[u8]| assert_eq!(read(&path, most).unwrap(), expected, "{most}");
    check(100, b"one\ntwo\nthree");
    check(10, b"one\ntwo\n");
    check(8, b"one\ntwo\n");
    check(2, b"");
    fs::remove_file(&path).unwrap();
    assert!(read("/dev/zero", 1 << 20).unwrap().is_empty());
}

/// No other file of userspace opens one of the kernel's, so that no name stops a reader of its own.
#[test]
fn nobody_else_reads_proc() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let sources: Vec<PathBuf> = folders.chain([crates.join("../src")]).flat_map(|folder| sources(&folder)).collect();
    assert!(sources.len() > 100, "{sources:?}");
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        let reads = shipped.lines().find(|line| line.contains("\"/proc/") && !line.trim_start().starts_with("//"));
        assert_eq!(reads, None, "{}", source.display());
    }
}

/// The sources below a folder, but for this reader and for tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let others = entries.filter(|path| !["procfs", "tests", "tests.rs"].iter().any(|name| path.ends_with(name)));
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    others.flat_map(below).filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Bytes, some of which look like the kernel's lines.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        &b"\n"[..],
        b" ",
        b"-",
        b":",
        b"7f12a000-7f15b000",
        b"r-xp",
        b"00000000",
        b"fe:00",
        b"123",
        b"0x10",
        b"\\012",
        b"NSpid:\t",
        b"Uid:\t1 2 3 4\n",
        b"Tgid:",
        b"(",
        b")",
        b"0::/",
        b" - ",
        b"\xff",
        b"18446744073709551616",
        b"socket:[",
        b"]",
        b"Max open files",
    ]);
    let word = prop_oneof![words.prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..9)];
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_in_bounds(bytes in bytes()) {
        let maps = maps::parse(&bytes);
        prop_assert!(maps.iter().all(|mapping| mapping.range.start < mapping.range.end));
        let names: usize = maps.iter().map(|mapping| mapping.path.len() + mapping.paths().count()).sum();
        prop_assert!(names <= bytes.len());
        prop_assert!(maps.len() <= bytes.len() / 16 && net::unix_sockets(&bytes).len() <= bytes.len() / 13);
        let groups = Cgroup::parse(&bytes);
        let mounts = Mount::parse(&bytes);
        prop_assert!(groups.len() <= bytes.len() && mounts.len() <= bytes.len());
        let paths = mounts.iter().map(|mount| mount.root.as_os_str().len() + mount.point.as_os_str().len());
        prop_assert!(paths.sum::<usize>() <= bytes.len());
        let _ = (Status::parse(&bytes), Stat::parse(&bytes), stat::stack_pointer(&bytes));
        let _ = (stat::auxiliary(&bytes, 3), status::soft_limit(&bytes, b"Max open files"));
        let _ = socket_inode(Path::new(std::ffi::OsStr::from_bytes(&bytes)));
        prop_assert!(without_deleted(&bytes).len() <= bytes.len());
    }
}
