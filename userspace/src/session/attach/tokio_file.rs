//! The file whose tokio is watched: the executable, or, where that has none, the library that has one.

use std::{
    fmt,
    fs::File,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use anyhow::{Error, Result, anyhow};

use super::not_watchable;
use asyncscope_discovery::{
    addr::Bias,
    discover,
    error::DiscoverError,
    image::{
        debug::{self, Options},
        elf::Elf,
    },
    process::{
        Process,
        libraries::{self, Library, LibraryTokio},
        procfs,
    },
    syscalls::c_library::{self, CLibrary},
    tokio::{plan::Plan, plan_cache},
};
use asyncscope_view::sentences;

/// A file with code of a process, and its bytes.
#[derive(Debug)]
pub(crate) struct TokioFile {
    /// Its name, as the process sees it.
    pub(crate) name: String,
    /// The path by which the process sees it.
    path: PathBuf,
    data: Vec<u8>,
    /// `None`: it is the executable.
    library: Option<LibraryFile>,
}

/// A library that is watched in the executable's place.
#[derive(Debug)]
struct LibraryFile {
    library: Library,
    executable: ExecutableFile,
}

/// The parts of an executable that matter where a library of it is watched.
#[derive(Clone, Debug)]
pub(crate) struct ExecutableFile {
    build_id: Option<String>,
    c_library: CLibrary,
}

/// The reason that an executable is not watched.
#[derive(Debug)]
pub(crate) struct NoTokio {
    why: DiscoverError,
    executable: ExecutableFile,
}

impl NoTokio {
    /// Returns `true` if a loader brings libraries along.
    pub(super) fn has_loader(&self) -> bool {
        self.executable.c_library.loader.is_some()
    }
}

impl fmt::Display for NoTokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl TokioFile {
    /// Reads the executable of a process.
    pub(crate) fn executable(process: &Process) -> Result<Self> {
        let (name, path) = (process.executable.clone(), process.executable_path().to_owned());
        Ok(Self { name, path, data: process.read_executable()?, library: None })
    }

    /// Wraps the bytes of an executable that no process runs.
    pub(crate) fn unloaded(name: String, path: PathBuf, data: Vec<u8>) -> Self {
        Self { name, path, data, library: None }
    }

    /// Finds the one library of a process that has a tokio, as its executable has none.
    ///
    /// # Errors
    ///
    /// A sentence: there is none, or more than one.
    pub(crate) fn library(process: &Process, tokios: &[LibraryTokio], no_tokio: NoTokio) -> Result<Self> {
        let NoTokio { why, executable } = no_tokio;
        match tokios {
            [only] => Self::of_library(process, only, executable)
                .ok_or_else(|| anyhow!("{}: cannot be read any more: try again", only.name.escape_debug())),
            several => {
                let sentences = several
                    .iter()
                    .map(|of| sentences::library_tokio(&of.name, of.version.as_deref()))
                    .chain(in_descendants(process));
                let all = std::iter::once(why.to_string()).chain(sentences).collect::<Vec<_>>();
                Err(not_watchable(&process.executable, &all.join("; but ")))
            }
        }
    }

    fn of_library(process: &Process, tokio: &LibraryTokio, executable: ExecutableFile) -> Option<Self> {
        let mut library = tokio.open(process)?;
        let data = std::mem::take(&mut library.data);
        let library = Some(LibraryFile { library, executable });
        Some(Self { name: tokio.name.clone(), path: tokio.path(), data, library })
    }

    /// Parses it, with what its debug file adds, and finds its plan; hands both on.
    ///
    /// # Errors
    ///
    /// A sentence: it is not a program that asyncscope knows; or that of `then`.
    pub(crate) fn planned<T>(
        &self,
        pid: Option<u32>,
        names: &Options,
        then: impl FnOnce(&Elf<'_>, Result<Plan, NoTokio>) -> Result<T>,
    ) -> Result<T> {
        let unreadable = |reason| not_watchable(&self.name, &sentences::unreadable(&reason));
        let elf = Elf::parse(&self.data).map_err(unreadable)?;
        let debug = debug::find(&elf, &self.path, pid, names)?;
        let elf = match &debug {
            Some(debug) => elf.with_debug(debug).map_err(|reason| Error::msg(sentences::unreadable(&reason)))?,
            None => elf,
        };
        let plan = plan_cache::plan(&elf, discover).map(|plan| match &self.library {
            Some(LibraryFile { executable, .. }) => plan.of_library(&self.name, executable.c_library.clone()),
            None => plan,
        });
        let planned = plan.map_err(|why| {
            let executable = ExecutableFile { build_id: elf.build_id.clone(), c_library: c_library::find(&elf) };
            NoTokio { why, executable }
        });
        then(&elf, planned)
    }

    /// Returns `true` if it is a library.
    pub(crate) fn is_library(&self) -> bool {
        self.library.is_some()
    }

    /// The distance that it was moved by in the memory of the process.
    ///
    /// # Errors
    ///
    /// The process ended, or may not be looked at.
    pub(super) fn bias(&self, process: &Process, elf: &Elf<'_>) -> Result<Bias> {
        match &self.library {
            Some(LibraryFile { library, .. }) => {
                library.bias(elf).ok_or_else(|| anyhow!("{}: is not loaded", self.name.escape_debug()))
            }
            None => Ok(process.bias(elf)?),
        }
    }

    /// The build id of the executable, which this may be.
    pub(super) fn executable_build_id(&self, elf: &Elf<'_>) -> Option<String> {
        match &self.library {
            Some(LibraryFile { executable, .. }) => executable.build_id.clone(),
            None => elf.build_id.clone(),
        }
    }

    /// A path by which the kernel finds it, and the file if it has to be held for that.
    ///
    /// # Errors
    ///
    /// No more files can be opened.
    pub(super) fn link(&self, process: &Process) -> Result<(PathBuf, Option<File>)> {
        let Some(LibraryFile { library, .. }) = &self.library else { return Ok((process.executable_link(), None)) };
        let held = library.file.try_clone().map_err(|error| anyhow!("{}: {error}", self.name.escape_debug()))?;
        Ok((procfs::own_descriptor(held.as_raw_fd()), Some(held)))
    }

    /// The path by which the process sees it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns a sentence for each descendant of the process that has a tokio.
pub(crate) fn in_descendants(process: &Process) -> Vec<String> {
    let found = libraries::descendants_with_tokio(process.pid).into_iter();
    found.map(|found| sentences::descendant_tokio(found.pid, &found.file)).collect()
}
