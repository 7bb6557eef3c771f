//! The paths that a file names: in its `use` lines, wherever in the file they stand, and elsewhere.

use syn::visit::{self, Visit};
use syn::{ItemFn, ItemImpl, ItemMod, ItemUse, UseTree, Visibility};

use super::trees::{File, Path, is_for_tests};

/// The begin of the names of userspace's crates.
pub(super) const OURS: &str = "asyncscope_";

/// A name that a `use` line brings in.
#[derive(Debug)]
pub(super) struct Use {
    /// The module that the line stands in.
    pub(super) module: Path,
    /// The path as written, without braces; ends with `*` where all names are meant.
    pub(super) path: Path,
    /// Its name from then on; `None`: `*`, or nothing.
    pub(super) name: Option<String>,
    /// It has a visibility: others are to find the name here.
    pub(super) reexport: bool,
}

/// All that a file names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The module that is being read.
    module: Path,
    pub(super) uses: Vec<Use>,
    /// Paths in code that begin with `crate` or another crate of ours, with the module that they stand in.
    pub(super) paths: Vec<(Path, Path)>,
}

impl Named {
    /// Collects what a file names outside of its tests.
    pub(super) fn of(file: &File) -> Self {
        let mut named = Self { module: file.module.clone(), ..Self::default() };
        named.visit_file(&file.syntax);
        named
    }

    fn take(&mut self, tree: &UseTree, before: &Path, reexport: bool) {
        let with = |name: &str| [before.as_slice(), &[name.to_owned()]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.take(&path.tree, &with(&path.ident.to_string()), reexport),
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.take(tree, before, reexport)),
            UseTree::Name(name) if name.ident == "self" => (before.clone(), before.last().cloned()),
            UseTree::Name(name) => (with(&name.ident.to_string()), Some(name.ident.to_string())),
            UseTree::Rename(rename) if rename.ident == "self" => (before.clone(), Some(rename.rename.to_string())),
            UseTree::Rename(rename) => (with(&rename.ident.to_string()), Some(rename.rename.to_string())),
            UseTree::Glob(_) => (with("*"), None),
        };
        self.uses.push(Use { module: self.module.clone(), path, name, reexport });
    }
}

impl<'ast> Visit<'ast> for Named {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            let reexport = !matches!(item.vis, Visibility::Inherited);
            self.take(&item.tree, &Path::new(), reexport);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() && !is_for_tests(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments[0] == "crate" || segments[0].starts_with(OURS) {
            self.paths.push((self.module.clone(), segments));
        }
        visit::visit_path(self, path);
    }
}
