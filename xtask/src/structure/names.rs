//! Type names that are given more than once.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Ident, ItemEnum, ItemFn, ItemMod, ItemStruct, ItemTrait, ItemType, ItemUnion};

use super::trees::{File, is_for_tests};

/// The definitions of structs, enums, unions, traits and type aliases by name, outside of tests. Aliases in traits and
/// implementations are not counted: they bear the trait's name for it.
#[derive(Debug, Default)]
pub(super) struct Definitions<'a> {
    by_name: BTreeMap<String, Vec<&'a str>>,
    file: &'a str,
}

impl<'a> Definitions<'a> {
    /// Adds the definitions of a file.
    pub(super) fn add(&mut self, file: &'a File) {
        self.file = &file.path;
        self.visit_file(&file.syntax);
    }

    /// Lists names that are defined twice or more, with the files.
    pub(super) fn repeated(&self) -> Vec<String> {
        let repeated = self.by_name.iter().filter(|(_, files)| files.len() > 1);
        let mut repeated: Vec<_> = repeated.collect();
        repeated.sort_by_key(|(_, files)| std::cmp::Reverse(files.len()));
        repeated.iter().map(|(name, files)| format!("{name} ({}): {}", files.len(), files.join(", "))).collect()
    }

    fn note(&mut self, name: &Ident) {
        self.by_name.entry(name.to_string()).or_default().push(self.file);
    }
}

impl<'ast> Visit<'ast> for Definitions<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.note(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.note(&item.ident);
    }

    fn visit_item_union(&mut self, item: &'ast ItemUnion) {
        self.note(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.note(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        self.note(&item.ident);
    }
}
