//! Outputs: opened before anything is recorded, written at the end, not left behind if there is no end.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::export;
use asyncscope_model::{Detail, Graph};
use asyncscope_trace::facts::Facts;
use asyncscope_view::{
    format::{Coverage, Medium, Need, OutputFormat, View, ViewOptions},
    formats::{self, FORMATS, SUMMARY},
    lost::{self, Lost},
};

/// The mode of new files that hold more of the target than a picture does, as a recording.
const FOR_OWNER: u32 = 0o600;
/// The mode of other new files, less the umask.
const FOR_ALL: u32 = 0o666;

/// The outputs that the user asked for.
#[derive(Clone, Debug, Default)]
pub struct OutputOptions {
    /// A recording.
    pub record: Option<PathBuf>,
    /// Outputs of the table, with the path of each that has a file.
    pub formats: Vec<(&'static OutputFormat, Option<PathBuf>)>,
    /// Spans.
    pub otlp: Option<export::ExportOptions>,
    /// The options that several outputs have in common.
    pub view: ViewOptions,
}

/// A file, or standard output.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    /// `None`: standard output.
    file: Option<File>,
    /// `true` if the file is new, and to be removed if nothing gets written.
    created: bool,
}

/// Opened outputs.
#[derive(Debug)]
pub struct Outputs {
    /// The recording.
    pub record: Option<OutputFile>,
    /// Outputs of the table, with the file of each that has one.
    formats: Vec<(&'static OutputFormat, Option<OutputFile>)>,
    /// Spans.
    pub(super) otlp: Option<export::Ready>,
    view: ViewOptions,
    /// The needs of the options, by their names.
    needs: Vec<(String, Need)>,
}

impl OutputOptions {
    /// Opens all of them.
    ///
    /// # Errors
    ///
    /// Which one cannot be written. Files that this created are removed again.
    pub fn open(&self) -> Result<Outputs> {
        self.share_stdout()?;
        let record = self.record.as_deref().map(|path| OutputFile::open(path, FOR_OWNER)).transpose()?;
        let open = |(format, path): &(&'static OutputFormat, Option<PathBuf>)| {
            let private = matches!(format.to, Medium::File { private: true, .. });
            let mode = if private { FOR_OWNER } else { FOR_ALL };
            let file = path.as_deref().map(|path| OutputFile::open(path, mode)).transpose()?;
            Ok((*format, file))
        };
        let mut formats = self.formats.iter().map(open).collect::<Result<Vec<_>>>()?;
        let mut asked = self.formats.iter().map(|(format, _)| *format);
        if let Some(format) = formats::implied(&self.view.selection, &mut asked) {
            formats.insert(0, (format, None));
        }
        let otlp = self.otlp.as_ref().map(export::ExportOptions::ready).transpose()?;
        Ok(Outputs { record, formats, otlp, view: self.view.clone(), needs: self.needs() })
    }

    /// Refuses several outputs that all go to standard output.
    fn share_stdout(&self) -> Result<()> {
        let files = self.formats.iter().map(|(_, path)| path).chain([&self.record]);
        let to_stdout = files.filter(|path| path.as_deref() == Some(Path::new("-"))).count();
        let to_stdout = to_stdout + usize::from(self.otlp.as_ref().is_some_and(export::ExportOptions::is_stdout));
        let has_text = self.formats.iter().any(|(_, path)| path.is_none());
        if to_stdout > 1 || (to_stdout == 1 && has_text) {
            let text = |format: &OutputFormat| match format.to {
                Medium::Terminal { .. } => Some(format!(", `--{}`", format.option)),
                Medium::File { value, optional: true, .. } => Some(format!(", `--{}` without {value}", format.option)),
                Medium::File { .. } => None,
            };
            let texts: String = FORMATS.iter().filter_map(text).collect();
            bail!("only one output can go to standard output (`-`{texts})");
        }
        Ok(())
    }

    /// Returns what each option needs to have been recorded, by the option's name.
    #[must_use]
    pub fn needs(&self) -> Vec<(String, Need)> {
        let of_formats = self.formats.iter().filter_map(|(format, _)| Some((named(format), format.needs?)));
        let of_spans = self.otlp.iter().map(|_| ("--otlp".to_owned(), Need::Polls));
        of_formats.chain(self.view.needs()).chain(of_spans).collect()
    }
}

fn named(format: &OutputFormat) -> String {
    format!("--{}", format.option)
}

impl OutputFile {
    fn open(path: &Path, mode: u32) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self { path: path.to_owned(), file: None, created: false });
        }
        // An option that takes a file or none may have taken the command's name: `run --logs ./server`.
        if is_program(path) {
            bail!("cannot write {}: it is a program, which no output replaces", path.display());
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

/// Returns `true` for an ELF file: a program or a library.
fn is_program(path: &Path) -> bool {
    let mut magic = [0; 4];
    // What is no plain file (a pipe, say) is not read from.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    let read = is_file.then(|| File::open(path).and_then(|mut file| file.read_exact(&mut magic)));
    matches!(read, Some(Ok(()))) && magic == *b"\x7fELF"
}

/// Under sudo a new file belongs to the user who asked for it.
fn give_to_sudo_user(file: &File) {
    let id = |name| std::env::var(name).ok().and_then(|id| id.parse().ok());
    if let (Some(user), Some(group)) = (id("SUDO_UID"), id("SUDO_GID")) {
        // Without the capability it stays root's, which is what it would have been.
        drop(fchown(file, Some(user), Some(group)));
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.created {
            // Nothing was written: what this created is not left behind.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

impl Outputs {
    /// Refuses outputs that cannot be made of what was recorded.
    ///
    /// # Errors
    ///
    /// A sentence: which one cannot.
    pub fn fit(&self, facts: &Facts) -> Result<()> {
        match Coverage::of(facts).lacks(&self.needs) {
            None => Ok(()),
            Some((name, Need::Polls)) => {
                bail!("{name} cannot be made of samples: this was recorded with --mode sample, which sees no polls")
            }
            Some((name, Need::Requests)) => {
                bail!("{name} takes requests, of which none were looked at here: record with --mode sample --requests")
            }
            Some((name, Need::Samples)) => {
                bail!("{name} is made of samples, of which there are none here: record with --mode sample")
            }
        }
    }

    /// Returns how much the graph has to keep for them.
    #[must_use]
    pub fn detail(&self, facts: &Facts) -> Detail {
        // Every sample may be of a request.
        let of_samples = facts.sampling.filter(|_| !self.are_only_recorded()).map(|_| Detail::Requests);
        let of_selection = if self.view.selection.is_everything() { Detail::Totals } else { Detail::Requests };
        let of_formats = self.formats.iter().map(|(format, _)| format.keeps.detail);
        of_samples.unwrap_or_else(|| of_formats.fold(of_selection, Detail::max))
    }

    /// Returns from how many nanoseconds on polls are to be kept as long ones, if any are.
    #[must_use]
    pub fn long_polls_ns(&self) -> Option<u64> {
        self.formats.iter().any(|(format, _)| format.keeps.long_polls).then_some(self.view.long_poll_ns)
    }

    /// Returns `true` if nothing but a recording is wanted.
    #[must_use]
    pub fn are_only_recorded(&self) -> bool {
        self.record.is_some() && self.otlp.is_none() && self.formats.is_empty()
    }

    /// Returns `true` if an output that is written at the end needs every single task.
    #[must_use]
    pub fn need_tasks(&self) -> bool {
        !self.formats.is_empty()
    }

    /// Returns `true` if an output holds the lines that the target wrote.
    #[must_use]
    pub fn need_lines(&self) -> bool {
        self.formats.iter().any(|(format, _)| format.keeps.log_lines)
    }

    /// Writes all but the recording; text goes to `terminal`: what was asked for, or a summary where nothing was.
    ///
    /// # Errors
    ///
    /// Which one could not be written, or why no request is meant.
    pub fn write(self, graph: &Graph, facts: &Facts, lost: &Lost, terminal: &mut dyn io::Write) -> Result<()> {
        let warning = lost::warning(&graph.totals()).filter(|_| !self.formats.is_empty());
        if let Some(warning) = warning {
            eprintln!("{warning}");
        }
        let view = View::new(graph, facts, lost, &self.view)?;
        if self.formats.is_empty() {
            return write_text(&SUMMARY, &view, terminal);
        }
        for (format, file) in self.formats {
            match file {
                None => write_text(format, &view, terminal)?,
                Some(file) => file.write(|out| (format.write)(&view, out))?,
            }
        }
        Ok(())
    }
}

fn write_text(format: &OutputFormat, view: &View<'_>, terminal: &mut dyn io::Write) -> Result<()> {
    let mut out = BufWriter::new(terminal);
    let written = (format.write)(view, &mut out).and_then(|()| out.flush());
    match format.to {
        Medium::Terminal { holds } => written.with_context(|| format!("cannot write {holds}")),
        Medium::File { .. } => written.with_context(|| format!("cannot write {}", named(format))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_is_overwritten() {
        let program = std::env::temp_dir().join(format!("asyncscope-{}-program", std::process::id()));
        let bytes = b"\x7fELF and the rest of it";
        std::fs::write(&program, bytes).unwrap();
        let refused = OutputFile::open(&program, FOR_ALL).map(drop).unwrap_err().to_string();
        assert!(refused.ends_with("it is a program, which no output replaces"), "{refused}");
        assert_eq!(std::fs::read(&program).unwrap(), bytes);
        std::fs::write(&program, "an earlier output").unwrap();
        OutputFile::open(&program, FOR_ALL).map(drop).unwrap();
        std::fs::remove_file(&program).unwrap();
    }
}
