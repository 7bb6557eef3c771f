//! An object file and the note beside it that says what built it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::toolchain::Toolchain;
use crate::process::{output, root};

/// An object and its note.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) path: PathBuf,
    note: PathBuf,
}

/// The content of the note.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    /// The compiler's and the linker's own lines about their versions.
    tools: String,
    /// Of the object, in hexadecimal.
    sha256: String,
}

impl Object {
    /// The one just built.
    pub(super) fn fresh() -> Self {
        Self::at(root().join("target/ebpf"))
    }

    fn committed() -> Self {
        Self::at(root().join("userspace/src/probe"))
    }

    fn at(folder: PathBuf) -> Self {
        let file = |name| folder.join(name);
        Self { path: file("asyncscope.bpf.o"), note: file("asyncscope.bpf.o.toolchain") }
    }

    /// Writes the note.
    pub(super) fn describe(&self, toolchain: &Toolchain) -> Result<()> {
        let Toolchain { version, linker_version, .. } = toolchain;
        let tools = format!("{version}\n{linker_version}");
        fs::write(&self.note, Note { tools, sha256: sha256(&self.path)? }.to_text())?;
        Ok(())
    }

    /// Makes this the one that is committed.
    pub(super) fn put_in_place(&self) -> Result<()> {
        let committed = Self::committed();
        for (from, to) in [(&self.path, &committed.path), (&self.note, &committed.note)] {
            fs::copy(from, to).with_context(|| format!("{} could not be written", to.display()))?;
        }
        println!("built {}\n{}", shown(&committed.path), fs::read_to_string(&self.note)?.trim_end());
        Ok(())
    }

    fn note(&self) -> Result<Note> {
        let text = fs::read_to_string(&self.note)
            .with_context(|| format!("{} cannot be read: run `cargo xtask build-ebpf`", self.note.display()))?;
        Note::from_text(&text).with_context(|| format!("{} is no such note", self.note.display()))
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.path)
            .with_context(|| format!("{} cannot be read: run `cargo xtask build-ebpf`", self.path.display()))
    }
}

impl Note {
    fn to_text(&self) -> String {
        format!("{}\nsha256 {}\n", self.tools, self.sha256)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (tools, sha256) = text.trim_end().rsplit_once("\nsha256 ")?;
        Some(Self { tools: tools.to_owned(), sha256: sha256.to_owned() })
    }
}

/// Fails where the committed object is not the fresh one although the same tools built both. Where
/// others did, nothing can be said of the committed one, and the live tests have to use the fresh one.
pub(super) fn check(fresh: &Object) -> Result<()> {
    let committed = Object::committed();
    let (old, new) = (committed.note()?, fresh.note()?);
    if sha256(&committed.path)? != old.sha256 {
        bail!("{} is not the object that its note describes: run `cargo xtask build-ebpf`", shown(&committed.path));
    }
    if old.tools != new.tools {
        println!("the committed object was built by\n{}\nbut here is\n{}", old.tools, new.tools);
        println!("so they cannot be compared; use ASYNCSCOPE_BPF_OBJECT={} for the live tests", fresh.path.display());
        return Ok(());
    }
    match difference(&committed.bytes()?, &fresh.bytes()?) {
        None => println!("{} is what its sources give", shown(&committed.path)),
        Some(difference) => bail!(
            "{} is not what its sources give ({difference}): run `cargo xtask build-ebpf` and commit it",
            shown(&committed.path)
        ),
    }
    Ok(())
}

fn difference(committed: &[u8], fresh: &[u8]) -> Option<String> {
    let same = committed.iter().zip(fresh).take_while(|(old, new)| old == new).count();
    if same == committed.len() && same == fresh.len() {
        return None;
    }
    Some(format!("{} bytes committed, {} built, the first difference at byte {same}", committed.len(), fresh.len()))
}

fn sha256(path: &Path) -> Result<String> {
    let line = output(Command::new("sha256sum").arg("--").arg(path))?;
    Ok(line.split_whitespace().next().unwrap_or_default().to_owned())
}

fn shown(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR").trim_end_matches("xtask")).unwrap_or(path).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(committed: &str, fresh: &str, at: Option<usize>) {
        let said = difference(committed.as_bytes(), fresh.as_bytes());
        assert_eq!(said.is_some(), at.is_some(), "{said:?}");
        if let (Some(said), Some(at)) = (said, at) {
            assert!(said.ends_with(&format!("at byte {at}")), "{said}");
        }
    }

    #[test]
    fn the_first_difference() {
        check("", "", None);
        check("abc", "abc", None);
        check("abc", "abd", Some(2));
        check("abc", "ab", Some(2));
        check("", "x", Some(0));
    }

    #[test]
    fn a_note_is_read_as_written() {
        let note = Note { tools: "rustc 1.2.3 (x)\nbpf-linker 0.1".into(), sha256: "00ff".into() };
        assert_eq!(Note::from_text(&note.to_text()), Some(note));
        assert_eq!(Note::from_text("rustc 1.2.3\n"), None);
    }
}
