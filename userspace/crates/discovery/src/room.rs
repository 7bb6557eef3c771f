//! How much memory is left to a process under its cgroups' limits.
//!
//! For each page with a probe in it the kernel gives the process a copy of its own, on the account of its
//! memory cgroup. Where that is full, the kernel ends a process of the cgroup to make room: seen with a limit
//! of just what the process had. So there has to be room before anything is armed.

use std::path::{Path, PathBuf};

use super::{proc, process::Process};

/// What is left under one limit, in bytes.
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
    let read = |path: String| proc::text(path).unwrap_or_default();
    let groups = groups(&read(format!("/proc/{}/cgroup", process.pid)), &read("/proc/self/mountinfo".to_owned()));
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
        let text = |file: &str| proc::text(cgroup.join(file)).ok();
        let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
        // A limit of `max` is none.
        let (limit, used) = (number(limit)?, number(used)?);
        Some(limit.saturating_sub(used).saturating_add(field(&text("memory.stat")?, files)))
    })
}

fn field(stat: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    stat.lines().find_map(value).unwrap_or(0)
}

/// The process's cgroups that may limit memory, each with where its hierarchy is mounted.
fn groups(cgroups: &str, mounts: &str) -> Vec<(PathBuf, PathBuf)> {
    let controls_memory = |controllers: &str| controllers.is_empty() || controllers.split(',').any(|it| it == "memory");
    let of_line = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controls_memory(controllers).then(|| directory(mounts, controllers.is_empty(), path))?
    };
    cgroups.lines().filter_map(of_line).collect()
}

/// Where the hierarchy is mounted, and the cgroup's directory in it.
/// <https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>
fn directory(mounts: &str, unified: bool, path: &str) -> Option<(PathBuf, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, PathBuf::from(fields.next()?));
        let mut fields = file_system.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let is_it =
            if unified { kind == "cgroup2" } else { kind == "cgroup" && options.split(',').any(|it| it == "memory") };
        let inside = Path::new(path).strip_prefix(root).ok()?;
        let is_below = inside.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let directory = point.join(inside);
        (is_it && is_below).then_some((point, directory))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
24 1 0:22 / /proc rw - proc proc rw
30 29 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 29 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
32 29 0:28 /pod /sys/fs/cgroup/pod rw - cgroup cgroup rw,cpu
";

    #[test]
    fn finds_the_directories_of_both_versions() {
        let check = |cgroups, expected: &[(&str, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(a, b)| (PathBuf::from(a), PathBuf::from(b))).collect();
            assert_eq!(groups(cgroups, MOUNTS), expected, "{cgroups}");
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
        let mounts = "30 29 0:26 /pod/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        let expected = (PathBuf::from("/sys/fs/cgroup"), PathBuf::from("/sys/fs/cgroup/x"));
        assert_eq!(groups("0::/pod/1/x", mounts), [expected]);
        assert_eq!(groups("0::/pod/2", mounts), []);
    }

    #[test]
    fn fields_are_whole_words() {
        assert_eq!(field("inactive_file_x 1\ninactive_file 4096\n", "inactive_file"), 4096);
        assert_eq!(field("total_inactive_file x\n", "total_inactive_file"), 0);
        assert_eq!(field("", "inactive_file"), 0);
    }
}
