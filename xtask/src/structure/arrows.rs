//! Which file leans on which.
//!
//! The rule, with which commit d353912 has circles of 12, 7, 7, 6, 4, 3 and 2 files in `userspace`:
//!
//! - An arrow is a `use` line, anywhere in a file, within the crate: its path begins with `crate`, `self`, `super` or
//!   the name of a module next to it. Paths that stand in code are no arrows, nor are lines that re-export (`pub use`,
//!   `pub(crate) use`…): the file needs nothing of what it passes on.
//! - It points to the file in which the name is defined: through modules, and through `use` lines of the module where
//!   the name is found. A name that comes by `*` is taken to be defined where it is found.
//! - A child's use of its parent is not counted, only of the parent: of its parent's parent is.
//! - Tests are left out: modules, functions and `use` lines under `#[cfg(test)]`, and the files of such modules.

use std::collections::{BTreeMap, BTreeSet};

use super::trees::{Path, Tree};
use super::uses::{Named, OURS, Use};

/// The number of `use` lines that a name is followed through: they may go round in a circle.
const LINES_MAX: usize = 8;

/// A tree with the names that its modules bring in.
pub(super) struct Arrows<'a> {
    tree: &'a Tree,
    named: Vec<Named>,
    /// By module and name: the path behind it.
    brought: BTreeMap<(Path, String), Path>,
}

impl<'a> Arrows<'a> {
    /// Reads the `use` lines of a tree.
    pub(super) fn of(tree: &'a Tree) -> Self {
        let named: Vec<Named> = tree.files.iter().map(Named::of).collect();
        let uses = named.iter().flat_map(|named| &named.uses);
        let brought = uses.filter_map(|Use { module, path, name, .. }| {
            let full = full(tree, module, path)?;
            Some(((module.clone(), name.clone()?), full))
        });
        Self { brought: brought.collect(), named, tree }
    }

    /// Collects the arrows from file to file, as places in the tree's files.
    pub(super) fn between_files(&self) -> BTreeSet<(usize, usize)> {
        let mut arrows = BTreeSet::new();
        for (from, named) in self.named.iter().enumerate() {
            let lines = named.uses.iter().filter(|line| !line.reexport);
            let targets = lines.filter_map(|line| self.definer(full(self.tree, &line.module, &line.path)?, LINES_MAX));
            arrows.extend(targets.map(|to| (from, to)).filter(|&(from, to)| from != to && !self.is_parent(to, from)));
        }
        arrows
    }

    /// Collects the modules right below the root that each file names, in `use` lines or in code.
    pub(super) fn to_folders(&self) -> BTreeSet<(usize, String)> {
        let within = |(from, module, path)| Some((from, full(self.tree, module, path)?.into_iter().next()?));
        let folders = self.all_paths().filter_map(within);
        folders.filter(|(_, folder)| self.tree.modules.contains_key(std::slice::from_ref(folder))).collect()
    }

    /// Collects the other crates of userspace that each file names, by the names of their folders.
    pub(super) fn to_packages(&self) -> BTreeSet<(usize, String)> {
        let package = |path: &Path| path.first()?.strip_prefix(OURS).map(str::to_owned);
        self.all_paths().filter_map(|(from, _, path)| Some((from, package(path)?))).collect()
    }

    /// Iterates over all paths of `use` lines and of code, with their file and module.
    fn all_paths(&self) -> impl Iterator<Item = (usize, &Path, &Path)> {
        self.named.iter().enumerate().flat_map(|(from, named)| {
            let uses = named.uses.iter().map(|line| (&line.module, &line.path));
            let paths = named.paths.iter().map(|(module, path)| (module, path));
            uses.chain(paths).map(move |(module, path)| (from, module, path))
        })
    }

    /// Finds the file in which what the path names is defined.
    fn definer(&self, path: Path, lines_left: usize) -> Option<usize> {
        let depth = (0..=path.len()).rev().find(|&depth| self.tree.modules.contains_key(&path[..depth]))?;
        let (module, rest) = path.split_at(depth);
        let behind = rest.first().and_then(|name| self.brought.get(&(module.to_vec(), name.clone())));
        if let Some(behind) = behind.filter(|_| lines_left > 0) {
            let path = [behind.as_slice(), &rest[1..]].concat();
            return self.definer(path, lines_left - 1);
        }
        self.tree.modules.get(module).copied()
    }

    fn is_parent(&self, parent: usize, child: usize) -> bool {
        let child = &self.tree.files[child].module;
        child.split_last().is_some_and(|(_, path)| self.tree.modules.get(path) == Some(&parent))
    }
}

/// Returns the path from the crate's root on; `None` where it leads out of the crate.
fn full(tree: &Tree, module: &Path, path: &Path) -> Option<Path> {
    let first = path.first()?;
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    let (base, rest): (&[String], &[String]) = match first.as_str() {
        "crate" => (&[], &path[1..]),
        "super" => (&module[..module.len().checked_sub(ups)?], &path[ups..]),
        "self" => (module, &path[1..]),
        _ => (module, path),
    };
    let full = [base, rest].concat();
    let within = matches!(first.as_str(), "crate" | "super" | "self");
    (within || tree.modules.contains_key(&full[..=base.len()])).then_some(full)
}
