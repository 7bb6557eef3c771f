//! The Rust files of a source tree, by their paths.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Folders with sources of ours.
const FOLDERS: [&str; 5] = ["userspace", "probe-common", "probe-ebpf", "xtask", "tests"];

/// Texts by path; paths are relative, with `/`.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Reads the source tree in a folder.
    ///
    /// # Errors
    /// Where a folder or a file cannot be read.
    pub(super) fn read(top: &Path) -> Result<Self> {
        let mut sources = Self::default();
        for folder in FOLDERS {
            sources.read_folder(top, folder).with_context(|| format!("{folder} cannot be read"))?;
        }
        Ok(sources)
    }

    fn read_folder(&mut self, top: &Path, folder: &str) -> Result<()> {
        for entry in fs::read_dir(top.join(folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            // Cargo puts its output into a folder with a tag.
            if entry.file_type()?.is_dir() && !entry.path().join("CACHEDIR.TAG").exists() {
                self.read_folder(top, &path)?;
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(entry.path()).with_context(|| format!("in {path}"))?;
                self.0.insert(path, text);
            }
        }
        Ok(())
    }

    /// Literal files, for tests.
    #[cfg(test)]
    pub(super) fn literal(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// Returns a file's text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// Iterates over all files in the order of their paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }
}
