//! The memory that is left to a process under its cgroups' limits.
//!
//! For each page with a probe in it the kernel gives the process a copy of its own, on the account of its
//! memory cgroup. Where that is full, the kernel ends a process of the cgroup to make room: seen with a limit
//! of just what the process had. So there has to be room before anything is armed.

use std::path::{Component, Path, PathBuf};

use super::{
    Process,
    procfs::{self, Cgroup, Mount},
};

/// The room left under one limit, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The cgroup's directory.
    pub cgroup: PathBuf,
    /// Up to the limit, with what the kernel can take back at once.
    pub left: u64,
}

/// The least room that any cgroup leaves the process; `None` where there is no limit, or none that can be read.
#[must_use]
pub fn of(process: &Process) -> Option<Room> {
    let groups = groups(&procfs::cgroups(process.pid), &procfs::mounts());
    let levels = groups.iter().flat_map(|(mount, group)| group.ancestors().take_while(move |at| at.starts_with(mount)));
    let rooms = levels.filter_map(|cgroup| Some(Room { cgroup: cgroup.to_owned(), left: left(cgroup)? }));
    rooms.min_by_key(|room| room.left)
}

/// The files of the two versions of cgroups: the limit, what is in use, and the field of `memory.stat` that
/// tells how much of it holds files that were not used of late.
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>,
/// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>
const VERSIONS: [[&str; 3]; 2] = [
    ["memory.max", "memory.current", "inactive_file"],
    ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
];

fn left(cgroup: &Path) -> Option<u64> {
    VERSIONS.iter().find_map(|[limit, used, files]| {
        let text = |file: &str| procfs::read(cgroup.join(file), procfs::SHORT).ok();
        let number = |file: &str| procfs::decimal::<u64>(text(file)?.trim_ascii());
        // A limit of `max` is none.
        let (limit, used) = (number(limit)?, number(used)?);
        let stat = text("memory.stat")?;
        let reclaimable = procfs::field(&stat, format!("{files} ").as_bytes()).and_then(procfs::decimal::<u64>);
        Some(limit.saturating_sub(used).saturating_add(reclaimable.unwrap_or(0)))
    })
}

/// The process's cgroups that may limit memory, each with where its hierarchy is mounted.
fn groups(cgroups: &[Cgroup], mounts: &[Mount]) -> Vec<(PathBuf, PathBuf)> {
    cgroups.iter().filter_map(|cgroup| directory(mounts, cgroup)).collect()
}

/// The directory that the hierarchy is mounted at, and the cgroup's directory in it.
fn directory(mounts: &[Mount], cgroup: &Cgroup) -> Option<(PathBuf, PathBuf)> {
    mounts.iter().filter(|mount| mount.holds(cgroup)).find_map(|mount| {
        let inside = cgroup.path.strip_prefix(&mount.root).ok()?;
        let is_below = inside.components().all(|part| matches!(part, Component::Normal(_)));
        is_below.then(|| (mount.point.clone(), mount.point.join(inside)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
24 1 0:22 / /proc rw - proc proc rw
30 29 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 29 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 29 0:28 /pod /sys/fs/cgroup/pod rw - cgroup cgroup rw,cpu
";

    fn found(cgroups: &str, mounts: &[u8]) -> Vec<(PathBuf, PathBuf)> {
        groups(&Cgroup::parse(cgroups.as_bytes()), &Mount::parse(mounts))
    }

    #[test]
    fn finds_the_directories_of_both_versions() {
        let check = |cgroups: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(a, b)| (PathBuf::from(a), PathBuf::from(b))).collect();
            assert_eq!(found(cgroups, MOUNTS), expected, "{cgroups}");
        };
        check("7:memory:/a/b\n3:cpu:/c", &[("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a/b")]);
        check("0::/svc:1", &[("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/svc:1")]);
        check("7:cpu,memory:/", &[("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory")]);
        check("0::/../outside", &[]);
        check("7:memory", &[]);
        check("", &[]);
    }

    #[test]
    fn a_cgroup_inside_of_what_is_mounted() {
        let mounts = b"30 29 0:26 /pod/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let expected = (PathBuf::from("/sys/fs/cgroup"), PathBuf::from("/sys/fs/cgroup/x"));
        assert_eq!(found("0::/pod/1/x", mounts), [expected]);
        assert_eq!(found("0::/pod/2", mounts), []);
    }
}
