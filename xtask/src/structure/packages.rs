//! Which packages there are, and which figures they count for.

use super::sources::Sources;

/// Packages whose files are held to the rules together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// The packages below `userspace`.
    Userspace,
    /// The package that both sides of the kernel share, and the kernel's side.
    Probes,
    /// The chores, and the library of the live tests.
    Tools,
}

/// A package's source folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// Path of the folder with `lib.rs` or `main.rs`.
    pub(super) folder: String,
    pub(super) group: Group,
}

impl Package {
    /// Lists the packages of a source tree: fixed ones, and whatever lies in `userspace/crates`.
    pub(super) fn all(sources: &Sources) -> Vec<Self> {
        let fixed = [
            ("userspace/src", Group::Userspace),
            ("probe-common/src", Group::Probes),
            ("probe-ebpf/src", Group::Probes),
            ("xtask/src", Group::Tools),
            ("tests/src", Group::Tools),
        ];
        let fixed = fixed.map(|(folder, group)| (folder.to_owned(), group));
        let split = sources.iter().filter_map(|(path, _)| {
            let root = path.strip_prefix("userspace/crates/")?.strip_suffix("/src/lib.rs")?;
            (!root.contains('/')).then(|| (format!("userspace/crates/{root}/src"), Group::Userspace))
        });
        fixed.into_iter().chain(split).map(|(folder, group)| Self { folder, group }).collect()
    }

    /// Returns the package's name in `use` lines and in the table of layers: that of its folder.
    pub(super) fn name(&self) -> &str {
        let folder = self.folder.strip_suffix("/src").unwrap_or(&self.folder);
        folder.rsplit('/').next().unwrap_or(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_parts_of_userspace() {
        let paths =
            ["userspace/src/main.rs", "userspace/crates/model/src/lib.rs", "userspace/crates/model/src/x/lib.rs"];
        let packages = Package::all(&Sources::literal(&paths.map(|path| (path, ""))));
        let userspace = packages.iter().filter(|package| package.group == Group::Userspace);
        let names: Vec<_> = userspace.map(|package| (package.name(), package.folder.as_str())).collect();
        assert_eq!(names, [("userspace", "userspace/src"), ("model", "userspace/crates/model/src")]);
    }
}
