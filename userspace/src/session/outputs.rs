//! Outputs: opened before anything is recorded, written at the end, not left behind if there is no end.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    facts::Facts,
    model::Graph,
    view::{self, stacks::Weight, summary::Lost},
};

/// The mode of a new recording, which tells more of the target than a picture does.
const FOR_OWNER: u32 = 0o600;
/// The mode of other new files, less the umask.
const FOR_ALL: u32 = 0o666;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What the stacks of flamegraph and folded output are weighted by.
    pub weight: Weight,
    /// A recording.
    pub record: Option<PathBuf>,
    /// A flamegraph.
    pub flamegraph: Option<PathBuf>,
    /// Folded stacks.
    pub folded: Option<PathBuf>,
    /// JSON lines.
    pub json: Option<PathBuf>,
}

/// A file, or standard output.
#[derive(Debug)]
pub struct Destination {
    path: PathBuf,
    /// `None`: standard output.
    file: Option<File>,
    /// Whether the file is new, and to be removed if nothing gets written.
    created: bool,
}

/// Opened outputs.
#[derive(Debug)]
pub struct Outputs {
    weight: Weight,
    /// The recording.
    pub record: Option<Destination>,
    flamegraph: Option<Destination>,
    folded: Option<Destination>,
    json: Option<Destination>,
}

impl Wanted {
    /// Opens all of them.
    ///
    /// # Errors
    ///
    /// Which one cannot be written. Files that this created are removed again.
    pub fn open(&self) -> Result<Outputs> {
        let all = [&self.record, &self.flamegraph, &self.folded, &self.json];
        let to_stdout = all.iter().filter(|path| path.as_deref() == Some(Path::new("-"))).count();
        if to_stdout > 1 {
            bail!("only one output can go to standard output (`-`)");
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| Destination::open(path, FOR_ALL)).transpose();
        Ok(Outputs {
            weight: self.weight,
            record: self.record.as_deref().map(|path| Destination::open(path, FOR_OWNER)).transpose()?,
            flamegraph: open(&self.flamegraph)?,
            folded: open(&self.folded)?,
            json: open(&self.json)?,
        })
    }
}

impl Destination {
    fn open(path: &Path, mode: u32) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { path: path.to_owned(), file: None, created: false });
        }
        let mut options = OpenOptions::new();
        options.write(true).mode(mode);
        let new = options.clone().create_new(true).open(path);
        let created = new.is_ok();
        let file = match new {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
            other => other,
        };
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        if created {
            give_to_sudo_user(&file);
        }
        Ok(Self { path: path.to_owned(), file: Some(file), created })
    }

    /// The emptied file, or standard output, to be written as a stream.
    ///
    /// # Errors
    ///
    /// The file cannot be emptied.
    pub fn into_writer(mut self) -> Result<Box<dyn io::Write>> {
        self.created = false;
        match self.file.take() {
            None => Ok(Box::new(io::stdout())),
            Some(file) => {
                // A device such as /dev/null has no length to set.
                let plain = file.metadata().is_ok_and(|metadata| metadata.is_file());
                if plain {
                    file.set_len(0).with_context(|| format!("cannot write {}", self.path.display()))?;
                }
                Ok(Box::new(file))
            }
        }
    }

    fn write(self, what: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<()> {
        let path = self.path.clone();
        let mut writer = BufWriter::new(self.into_writer()?);
        what(&mut writer).and_then(|()| writer.flush()).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Under sudo a new file belongs to the user who asked for it.
fn give_to_sudo_user(file: &File) {
    let id = |name| std::env::var(name).ok().and_then(|id| id.parse().ok());
    if let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) {
        // Without the capability it stays root's, which is what it would have been.
        drop(fchown(file, Some(user), Some(group)));
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if self.created {
            // Nothing was written: what this created is not left behind.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

impl Outputs {
    /// Whether JSON is wanted, which needs every single poll and wake.
    #[must_use]
    pub fn want_intervals(&self) -> bool {
        self.json.is_some()
    }

    /// Whether nothing is wanted but to be told.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.record.is_none() && self.flamegraph.is_none() && self.folded.is_none() && self.json.is_none()
    }

    /// Writes all but the recording; where nothing was asked for, a summary to `told`.
    ///
    /// # Errors
    ///
    /// Which one could not be written.
    pub fn write(self, graph: &Graph, facts: &Facts, lost: &Lost, told: &mut dyn io::Write) -> Result<()> {
        if self.are_none() {
            return view::summary::write(graph, facts, lost, told).context("cannot write the summary");
        }
        let weight = self.weight;
        if let Some(to) = self.flamegraph {
            to.write(|out| view::flamegraph::write(graph, facts, weight, out))?;
        }
        if let Some(to) = self.folded {
            to.write(|out| view::folded::write(graph, facts, weight, out))?;
        }
        if let Some(to) = self.json {
            to.write(|out| view::json::write(graph, facts, out))?;
        }
        Ok(())
    }
}
