//! A memory cgroup, of either version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The place where the kernel mounts the hierarchy that limits memory, and its files for the limit, for what is in
/// use, and the field of `memory.stat` with what the kernel can take back at once.
const VERSIONS: [[&str; 4]; 2] = [
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
    ["/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"],
];

/// A cgroup of its own, removed on drop.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    files: [&'static str; 4],
}

impl Cgroup {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If this machine has none that limit memory, or does not let them be made.
    pub fn new() -> Result<Self> {
        let is_there = |files: &&[&str; 4]| Path::new(files[0]).join("cgroup.procs").exists();
        let files = VERSIONS.iter().find(is_there).context("no memory cgroups")?;
        let path = Path::new(files[0]).join(format!("asyncscope-test-{}", std::process::id()));
        // In the second version the children of a cgroup have only the controllers that it hands down.
        let handed_down = Path::new(files[0]).join("cgroup.subtree_control");
        if handed_down.exists() {
            fs::write(&handed_down, "+memory").context("memory cgroups are not handed down")?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let group = Self { path, files: *files };
        group.limit(u64::from(u32::MAX)).context("no limits of memory")?;
        Ok(group)
    }

    /// The file whose members are written to, a process each.
    #[must_use]
    pub fn members(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Returns what its members use and the kernel cannot take back at once, in bytes.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn used(&self) -> Result<u64> {
        let [_, _, used, files] = self.files;
        let stat = fs::read_to_string(self.path.join("memory.stat"))?;
        let field = |line: &str| line.strip_prefix(files)?.strip_prefix(' ')?.parse::<u64>().ok();
        let files = stat.lines().find_map(field).context("no such field in memory.stat")?;
        Ok(fs::read_to_string(self.path.join(used))?.trim().parse::<u64>()?.saturating_sub(files))
    }

    /// Limits it to this many bytes.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn limit(&self, bytes: u64) -> Result<()> {
        fs::write(self.path.join(self.files[1]), bytes.to_string())
            .with_context(|| format!("no limit of {bytes} bytes"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // One that still has members is left; there is nobody to report to.
        let _removed = fs::remove_dir(&self.path);
    }
}
