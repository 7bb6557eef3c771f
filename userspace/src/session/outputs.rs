//! Outputs: opened before anything is recorded, written at the end, not left behind if there is no end.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::export;
use asyncscope_model::{Detail, Graph};
use asyncscope_trace::facts::Facts;
use asyncscope_view::{
    blocking, flamegraph, folded, json,
    lost::{self, Lost},
    pprof, printed, request, requests,
    samples::{By, Chosen},
    select::Selection,
    stacks::{Part, Weight},
    summary,
};

/// The mode of a new recording, which tells more of the target than a picture does.
const FOR_OWNER: u32 = 0o600;
/// The mode of other new files, less the umask.
const FOR_ALL: u32 = 0o666;
/// What JSON tells as a long poll where nothing else was asked for.
const LONG_POLL_NS: u64 = 1_000_000;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What the stacks of flamegraph and folded output are weighted by; `None`: by CPU time where that was
    /// sampled, else by time inside polls.
    pub weight: Option<Weight>,
    /// What samples are grouped by first; `None`: by task.
    pub by: Option<By>,
    /// A recording.
    pub record: Option<PathBuf>,
    /// A flamegraph.
    pub flamegraph: Option<PathBuf>,
    /// Folded stacks.
    pub folded: Option<PathBuf>,
    /// A profile for pprof.
    pub pprof: Option<PathBuf>,
    /// JSON lines.
    pub json: Option<PathBuf>,
    /// The lines that the target wrote.
    pub lines: Option<PathBuf>,
    /// Spans.
    pub otlp: Option<export::Wanted>,
    /// The table of requests.
    pub requests: bool,
    /// The table of long polls of at least so many nanoseconds.
    pub blocking_ns: Option<u64>,
    /// The requests that table, flamegraph and folded stacks are about.
    pub selection: Selection,
    /// Compare requests that are at least as slow as the selection says with the faster ones.
    pub versus: bool,
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
    weight: Option<Weight>,
    by: Option<By>,
    /// The recording.
    pub record: Option<Destination>,
    flamegraph: Option<Destination>,
    folded: Option<Destination>,
    pprof: Option<Destination>,
    json: Option<Destination>,
    lines: Option<Destination>,
    /// Spans.
    pub(super) otlp: Option<export::Ready>,
    requests: bool,
    blocking_ns: Option<u64>,
    selection: Selection,
    versus: bool,
}

impl Wanted {
    /// Opens all of them.
    ///
    /// # Errors
    ///
    /// Which one cannot be written. Files that this created are removed again.
    pub fn open(&self) -> Result<Outputs> {
        let all = [&self.record, &self.flamegraph, &self.folded, &self.pprof, &self.json, &self.lines];
        let to_stdout = all.iter().filter(|path| path.as_deref() == Some(Path::new("-"))).count();
        let to_stdout = to_stdout + usize::from(self.otlp.as_ref().is_some_and(export::Wanted::is_stdout));
        let has_tables = self.requests || self.blocking_ns.is_some();
        if to_stdout > 1 || (to_stdout == 1 && has_tables) {
            bail!("only one output can go to standard output (`-`, `--requests`, `--blocking`)");
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(|path| Destination::open(path, FOR_ALL)).transpose();
        Ok(Outputs {
            weight: self.weight,
            by: self.by,
            record: self.record.as_deref().map(|path| Destination::open(path, FOR_OWNER)).transpose()?,
            flamegraph: open(&self.flamegraph)?,
            folded: open(&self.folded)?,
            pprof: open(&self.pprof)?,
            json: open(&self.json)?,
            lines: self.lines.as_deref().map(|path| Destination::open(path, FOR_OWNER)).transpose()?,
            otlp: self.otlp.as_ref().map(export::Wanted::ready).transpose()?,
            requests: self.requests,
            blocking_ns: self.blocking_ns,
            selection: self.selection.clone(),
            versus: self.versus,
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
    /// Whether they can be made of what was watched in that way.
    ///
    /// # Errors
    ///
    /// A sentence: which one cannot.
    pub fn fit(&self, facts: &Facts) -> Result<()> {
        let of_polls = [
            ("--otlp", self.otlp.is_some()),
            ("--blocking", self.blocking_ns.is_some()),
            ("--versus", self.versus),
            ("--weight other than cpu", self.weight.is_some_and(|weight| weight != Weight::Cpu)),
        ];
        let of_samples = [("--weight cpu", self.weight == Some(Weight::Cpu)), ("--by", self.by.is_some())];
        let of_requests = [
            ("--requests", self.requests),
            ("--json", self.json.is_some()),
            ("--by request and route", self.by.is_some_and(By::needs_requests)),
            ("the choice of requests", !self.selection.is_everything()),
        ];
        let given = |options: &[(&'static str, bool)]| options.iter().find(|(_, given)| *given).map(|&(name, _)| name);
        match facts.sampling {
            Some(_) if let Some(name) = given(&of_polls) => {
                bail!("{name} cannot be made of samples: this was recorded with --mode sample, which sees no polls")
            }
            Some(sampling)
                if !sampling.requests
                    && let Some(name) = given(&of_requests) =>
            {
                bail!("{name} takes requests, of which none were looked at here: record with --mode sample --requests")
            }
            None if let Some(name) = given(&of_samples) => {
                bail!("{name} is made of samples, of which there are none here: record with --mode sample")
            }
            _ => Ok(()),
        }
    }

    /// How much the graph has to keep for them.
    #[must_use]
    pub fn detail(&self, facts: &Facts) -> Detail {
        let tells_one = self.selection.id.is_some() && self.are_text();
        match self.json.is_some() || tells_one {
            // Every sample may be of one of them.
            _ if facts.sampling.is_some() && !self.are_only_recorded() => Detail::Requests,
            true => Detail::Intervals,
            false if self.ask_for_requests() || self.lines.is_some() => Detail::Requests,
            false => Detail::Totals,
        }
    }

    /// From how many nanoseconds on polls are to be kept as long ones, if any are.
    #[must_use]
    pub fn long_polls_ns(&self) -> Option<u64> {
        self.blocking_ns.or(self.json.is_some().then_some(LONG_POLL_NS))
    }

    /// Whether requests are to be told.
    #[must_use]
    pub fn ask_for_requests(&self) -> bool {
        self.requests || !self.selection.is_everything()
    }

    /// Whether text is asked for, and no file but perhaps a recording.
    fn are_text(&self) -> bool {
        let files = [&self.flamegraph, &self.folded, &self.pprof, &self.json, &self.lines];
        files.iter().all(|file| file.is_none())
    }

    /// Whether tables are asked for.
    fn are_tables(&self) -> bool {
        self.ask_for_requests() || self.blocking_ns.is_some()
    }

    /// Whether nothing is wanted but to be told.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.record.is_none() && self.otlp.is_none() && self.are_text()
    }

    /// Whether nothing but a recording is wanted.
    #[must_use]
    pub fn are_only_recorded(&self) -> bool {
        self.record.is_some() && self.otlp.is_none() && self.are_text() && !self.are_tables()
    }

    /// Whether an output that is written at the end needs every single task.
    #[must_use]
    pub fn need_tasks(&self) -> bool {
        !self.are_text() || self.are_tables()
    }

    /// Whether lines that the target wrote are to be told.
    #[must_use]
    pub fn tell_lines(&self) -> bool {
        self.lines.is_some() || self.json.is_some() || self.selection.id.is_some()
    }

    /// Writes all but the recording; what has no file goes to `told`: the requests and long polls that were
    /// asked for, or a summary where nothing was.
    ///
    /// # Errors
    ///
    /// Which one could not be written, or why no request is meant.
    pub fn write(self, graph: &Graph, facts: &Facts, lost: &Lost, told: &mut dyn io::Write) -> Result<()> {
        let asked = self.ask_for_requests();
        if self.are_none() && !self.are_tables() {
            return summary::write(graph, facts, lost, told).context("cannot write the summary");
        }
        if let Some(warning) = lost::warning(&graph.totals()) {
            eprintln!("{warning}");
        }
        if self.requests || (asked && self.are_text()) {
            self.tell_requests(graph, facts, told)?;
        }
        if let Some(min_ns) = self.blocking_ns {
            let mut told = BufWriter::new(&mut *told);
            let written = blocking::write(graph, facts, min_ns, &mut told);
            written.and_then(|()| told.flush()).context("cannot write the long polls")?;
        }
        let chosen = if self.versus { Vec::new() } else { self.selection.requests(graph)? };
        if let Some(to) = self.lines {
            let only = (!self.selection.is_everything()).then(|| self.selection.requests(graph)).transpose()?;
            to.write(|out| printed::write(graph, facts, only.as_deref(), out))?;
        }
        let part = match self.selection.is_everything() {
            true if facts.sampling.is_some() => Part::Samples(self.by.unwrap_or_default(), None),
            true => Part::All,
            false if facts.sampling.is_some() => {
                let requests = chosen.iter().map(|request| request.id).collect();
                let only = Chosen { requests, label: self.selection.route.clone() };
                Part::Samples(self.by.unwrap_or(By::Route), Some(only))
            }
            false => Part::Of { requests: chosen, label: self.selection.route.clone() },
        };
        let weight = self.weight.unwrap_or(if facts.sampling.is_some() { Weight::Cpu } else { Weight::Busy });
        if let Some(to) = self.flamegraph {
            match self.versus {
                true => {
                    let versus = self.selection.versus(graph)?;
                    to.write(|out| flamegraph::write_versus(graph, facts, weight, &versus, out))?;
                }
                false => to.write(|out| flamegraph::write(graph, facts, weight, &part, out))?,
            }
        }
        if let Some(to) = self.folded {
            to.write(|out| folded::write(graph, facts, weight, &part, out))?;
        }
        if let Some(to) = self.pprof {
            to.write(|out| pprof::write(graph, facts, weight, &part, out))?;
        }
        if let Some(to) = self.json {
            to.write(|out| json::write(graph, facts, out))?;
        }
        Ok(())
    }

    /// A table; or, where one request was asked for by its ID, all of its story.
    fn tell_requests(&self, graph: &Graph, facts: &Facts, told: &mut dyn io::Write) -> Result<()> {
        let requests = self.selection.requests(graph)?;
        let mut told = BufWriter::new(told);
        let each = self.selection.id.is_some() && !self.requests && facts.sampling.is_none();
        let written = match each {
            true => requests.iter().try_for_each(|request| request::write(graph, facts, request, &mut told)),
            false => requests::write(graph, facts, &requests, &mut told),
        };
        written.and_then(|()| told.flush()).context("cannot write the requests")
    }
}
