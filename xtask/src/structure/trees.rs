//! Module trees: which file holds which module, found as the compiler finds them, by `mod` items from `lib.rs` and
//! `main.rs` on. Modules under `#[cfg(test)]` are left out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use syn::{Attribute, Item, Meta};

use super::packages::Package;
use super::sources::Sources;

/// A module's path below its crate's root.
pub(super) type Path = Vec<String>;

/// A file that holds a module.
pub(super) struct File {
    /// Its module.
    pub(super) module: Path,
    /// Its path.
    pub(super) path: String,
    pub(super) syntax: syn::File,
}

/// The module tree of one `lib.rs` or `main.rs`.
#[derive(Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    /// The place in `files` of each module, also of modules that lie within a file.
    pub(super) modules: BTreeMap<Path, usize>,
}

impl Tree {
    /// Reads a package's trees.
    ///
    /// # Errors
    /// Where a file does not parse, or a module has no file.
    pub(super) fn of(package: &Package, sources: &Sources) -> Result<Vec<Self>> {
        let roots = ["lib.rs", "main.rs"].map(|root| format!("{}/{root}", package.folder));
        let mut trees = Vec::new();
        for root in roots.into_iter().filter(|root| sources.text(root).is_some()) {
            let mut tree = Self::default();
            tree.add(sources, Vec::new(), root)?;
            trees.push(tree);
        }
        Ok(trees)
    }

    fn add(&mut self, sources: &Sources, module: Path, path: String) -> Result<()> {
        let text = sources.text(&path).with_context(|| format!("there is no {path}"))?;
        let syntax = syn::parse_file(text).with_context(|| format!("{path} does not parse"))?;
        let folder = folder_of_children(&path);
        let children = children(&syntax.items, &module, &folder);
        let place = self.files.len();
        self.modules.insert(module.clone(), place);
        self.files.push(File { module, path, syntax });
        for Child { module, file } in children {
            match file {
                None => drop(self.modules.insert(module, place)),
                Some(candidates) => {
                    let found = candidates.iter().find(|file| sources.text(file).is_some());
                    let file = found.with_context(|| format!("none of {candidates:?} is there"))?;
                    self.add(sources, module, file.clone())?;
                }
            }
        }
        Ok(())
    }
}

/// A module that a file declares.
struct Child {
    module: Path,
    /// The files that may hold it; `None`: it lies within the file.
    file: Option<Vec<String>>,
}

fn children(items: &[Item], module: &Path, folder: &str) -> Vec<Child> {
    let mut children = Vec::new();
    for item in items {
        let Item::Mod(item) = item else { continue };
        if is_for_tests(&item.attrs) {
            continue;
        }
        let name = item.ident.to_string();
        let mut module = module.clone();
        module.push(name.clone());
        let below = format!("{folder}/{name}");
        match &item.content {
            Some((_, items)) => {
                children.push(Child { module: module.clone(), file: None });
                children.extend(self::children(items, &module, &below));
            }
            None => {
                let file = Some(vec![format!("{below}.rs"), format!("{below}/mod.rs")]);
                children.push(Child { module, file });
            }
        }
    }
    children
}

/// Returns the folder in which the modules lie that a file declares.
fn folder_of_children(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    }
}

/// Says whether an item is compiled for tests only.
pub(super) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            let mut words = condition.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.any(|word| word == "test") && !condition.contains("not")
        }
        _ => false,
    })
}
