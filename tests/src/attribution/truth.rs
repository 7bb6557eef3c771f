//! What a service lived, as it prints it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

/// Stands for a request in the names of calls that are made for no request.
pub const NOBODY: &str = "nobody";

/// A request that the service served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The task that brought it to the service.
    pub task: u64,
    /// The kind in its path, by which its handler does what it does.
    pub kind: String,
}

/// All that a service lived.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// By name.
    pub requests: BTreeMap<String, Served>,
    /// Tasks that were spawned for one request, and whose they were.
    pub children: BTreeMap<u64, String>,
    /// Tasks that served whoever asked them, and their names.
    pub drivers: BTreeMap<u64, String>,
    /// The names of all calls that were answered.
    pub answered: BTreeSet<String>,
}

impl Truth {
    /// Reads what a service printed. Other lines are none of it.
    ///
    /// # Errors
    ///
    /// If a line is broken, or two contradict each other.
    pub fn parse(lines: &[String]) -> Result<Self> {
        let mut truth = Self::default();
        for line in lines {
            truth.take(line).with_context(|| line.clone())?;
        }
        Ok(truth)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        match *line.split(' ').collect::<Vec<_>>().as_slice() {
            ["R", name, task, kind] => {
                let served = Served { task: task.parse()?, kind: kind.to_owned() };
                ensure!(self.requests.insert(name.to_owned(), served).is_none(), "served twice");
            }
            ["C", name, task] => {
                ensure!(self.children.insert(task.parse()?, owner(name).to_owned()).is_none(), "whose is it?");
            }
            ["D", name, task] => drop(self.drivers.insert(task.parse()?, name.to_owned())),
            ["K", name, "answered"] => drop(self.answered.insert(name.to_owned())),
            _ => {}
        }
        Ok(())
    }

    /// The kind of a request, or of what is [`NOBODY`]'s.
    #[must_use]
    pub fn kind(&self, request: &str) -> Option<&str> {
        if request == NOBODY {
            return Some(NOBODY);
        }
        self.requests.get(request).map(|served| served.kind.as_str())
    }
}

/// The request in the name of a call, or of one that a middleware made.
#[must_use]
pub fn owner(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
