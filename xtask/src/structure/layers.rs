//! Layers: which part may use which, as ARCHITECTURE.md draws it. Cargo keeps a package from using what it does not
//! depend on; the tables say what it may depend on, and keep the folders within a package apart.
//!
//! Counted are `use` lines and paths in code, but for what stands in the calls of macros.

use super::arrows::Arrows;
use super::packages::Package;
use super::trees::Tree;

/// A part, and the others that it may use.
type Layer = (&'static str, &'static [&'static str]);

/// Packages of userspace, by their folders.
const PACKAGES: &[Layer] = &[
    ("trace", &[]),
    ("model", &["trace"]),
    ("view", &["trace", "model"]),
    ("discovery", &["trace"]),
    ("unwind", &["trace", "discovery"]),
    ("export", &[]),
    ("userspace", &["trace", "model", "view", "discovery", "unwind", "export"]),
];

/// Folders right below a package's root, and files there. Its root (`lib.rs`, `main.rs`) may use all of them.
fn folders_of(package: &str) -> &'static [Layer] {
    match package {
        "userspace" => USERSPACE,
        "trace" => TRACE,
        _ => &[],
    }
}

const TRACE: &[Layer] =
    &[("facts", &[]), ("event", &["facts"]), ("recording", &["facts", "event"]), ("chain", &["facts", "event"])];

const USERSPACE: &[Layer] = &[("probe", &[]), ("session", &["probe"]), ("cli", &["probe", "session"])];

/// Lists the files of a tree that use what lies above them, or what the tables do not know.
pub(super) fn looking_up(package: &Package, tree: &Tree, arrows: &Arrows<'_>) -> Vec<String> {
    let folders = folders_of(package.name());
    let (to_folders, to_packages) = (arrows.to_folders(), arrows.to_packages());
    let between_folders = to_folders.iter().filter_map(|(file, to)| {
        let file = &tree.files[*file];
        let from = file.module.first().filter(|_| !folders.is_empty())?;
        is_up(folders, from, to).then(|| format!("{}: {from} uses {to}", file.path))
    });
    let between_packages = to_packages.iter().filter_map(|(file, to)| {
        let from = package.name();
        is_up(PACKAGES, from, to).then(|| format!("{}: {from} uses {to}", tree.files[*file].path))
    });
    between_folders.chain(between_packages).collect()
}

fn is_up(layers: &[Layer], from: &str, to: &str) -> bool {
    let may_use = layers.iter().find(|(name, _)| *name == from).map(|(_, may_use)| *may_use);
    from != to && !may_use.unwrap_or_default().contains(&to)
}
