//! A command whose executable has no tokio: it runs until it loads a library that has one.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{Attempt, attempt, not_watchable, tokio_file::TokioFile};
use crate::session::{
    attach::{
        attached::Attached,
        tokio_file::{self, NoTokio},
    },
    plan::AttachOptions,
};
use asyncscope_discovery::{
    error::TargetError,
    process::{Process, libraries::Loaded},
};

/// Between two looks at the libraries of a command. Each new one is read once.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A process that has no tokio so far.
pub(crate) struct WithoutTokio {
    pub(super) process: Process,
    pub(super) why: NoTokio,
}

impl WithoutTokio {
    /// Returns `true` if a loader may bring libraries.
    pub(crate) fn may_load(&self) -> bool {
        self.why.has_loader()
    }

    /// Returns the sentence that says so.
    pub(crate) fn refusal(&self) -> anyhow::Error {
        not_watchable(&self.process.executable, &self.why.to_string())
    }

    /// Attaches to the first library with a tokio that the process loads. What it spawned until then is not known.
    ///
    /// # Errors
    ///
    /// A sentence: it ended, or the time was up, before that; or what the kernel refused.
    pub(crate) fn attach(self, options: &AttachOptions, duration: Option<Duration>) -> Result<Attached> {
        let Self { process, why } = self;
        let name = process.executable.escape_debug().to_string();
        eprintln!("{name} has no tokio: waiting for a library with one (what it spawns at once is not seen)");
        let end = duration.map(|duration| Instant::now() + duration);
        let mut loaded = Loaded::default();
        loop {
            let found = loaded.tokios(&process);
            if !found.is_empty() {
                let library = TokioFile::library(&process, &found, why)?;
                return match attempt(&library, process, loaded, false, options)? {
                    Attempt::Attached(attached) => Ok(*attached),
                    Attempt::NoTokio(_, why) => Err(not_watchable(&library.name, &why.to_string())),
                };
            }
            if process.became_another() {
                return Err(TargetError::BecameAnother(process.pid).into());
            }
            let is_late = end.is_some_and(|end| Instant::now() >= end);
            if is_late || !process.is_alive() {
                let until = if is_late { "in that time" } else { "before it ended" };
                let others = tokio_file::in_descendants(&process);
                let sentences = std::iter::once(format!("{why}; and it loaded no library that has one {until}"));
                bail!("{name}: {}", sentences.chain(others).collect::<Vec<_>>().join("; but "));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}
