//! What the agent saw: its JSON lines.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;

use anyhow::{Result, ensure};
use asyncscope_trace::facts::NotSeen;
use serde::Deserialize;

use crate::json_lines;

/// Everything the agent saw. Times are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The first line.
    pub recording: Recording,
    /// By id.
    pub tasks: BTreeMap<u64, SeenTask>,
    /// Every poll, by task, in time order.
    pub polls: BTreeMap<u64, Vec<SeenPoll>>,
    /// Every spawn.
    pub spawns: Vec<SeenSpawn>,
    /// Every wake.
    pub wakes: Vec<SeenWake>,
    /// Every gap.
    pub gaps: Vec<SeenGap>,
    /// All that tasks awaited, each by one chain.
    pub awaits: Vec<SeenAwait>,
}

/// The recording as a whole.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Recording {
    /// The time when the hooks were armed.
    pub armed: Armed,
    /// `true` if the target was watched from its first instruction on.
    #[serde(default)]
    pub from_first_instruction: bool,
    /// Its end.
    pub end_ns: u64,
    /// Things that were not seen, by reason.
    #[serde(default)]
    pub not_seen: Vec<NotSeen>,
    /// Its sums.
    pub totals: Totals,
}

/// The moment of arming.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Armed {
    /// On the clock of the events.
    pub monotonic_ns: u64,
    /// On the wall clock, since the Unix epoch.
    #[serde(default)]
    pub unix_ns: u64,
}

/// A recording's sums.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Totals {
    /// Tasks.
    pub tasks: u64,
    /// Polls.
    pub polls: u64,
    /// Spawns.
    pub spawns: u64,
    /// Gaps.
    pub gaps: u64,
    /// Events lost.
    pub lost: u64,
    /// Polls whose end was not seen.
    pub polls_unended: u64,
}

/// The one who spawned or woke a task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// Another task.
    Task(u64),
    /// A thread outside of every task.
    Root(Root),
    /// Not known, and why.
    Unknown(String),
    /// A driver of the runtime.
    Runtime(Option<String>),
    /// The task itself, by a deferred wake.
    Own(bool),
    /// A thread that is none of the runtime's.
    Thread(u32),
}

impl Default for Actor {
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

/// A thread as the root of its spawns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Root {
    /// Its id in the initial pid namespace.
    pub thread: u32,
}

/// One task.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenTask {
    /// Its id.
    pub task: u64,
    /// Its type's name.
    #[serde(rename = "type")]
    pub name: String,
    /// `spawned`, `local`, `blocking` or `unknown`.
    pub task_kind: String,
    /// `true` if it is the runtime's own.
    pub runtime: bool,
    /// The one who spawned it.
    pub parent: Actor,
    /// The time when it was spawned, if that was seen.
    pub born_ns: Option<u64>,
    /// The time when anything of it was seen first.
    pub first_seen_ns: u64,
    /// Its end, if it was seen.
    pub end: Option<SeenEnd>,
    /// Its polls.
    pub polls: u64,
    /// Time inside polls.
    pub running_ns: u64,
    /// Time ready.
    pub ready_ns: u64,
    /// Time waiting.
    pub waiting_ns: u64,
    /// Time running, but for what ran nested inside.
    #[serde(default)]
    pub busy_ns: u64,
    /// Uses of its wakers.
    #[serde(default)]
    pub wakes: u64,
}

/// A task's end.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenEnd {
    /// Its time.
    pub time_ns: u64,
    /// `completed`, `cancelled`, `panicked` or `aborted-while-running`.
    pub how: String,
}

/// One poll.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenPoll {
    /// The task.
    pub task: u64,
    /// The thread.
    pub thread: u32,
    /// Its start.
    pub start_ns: u64,
    /// Its end, if it was seen.
    pub end_ns: Option<u64>,
}

/// One spawn.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenSpawn {
    /// The new task.
    pub task: u64,
    /// The one who spawned it.
    pub parent: Actor,
    /// Its time.
    pub time_ns: u64,
    /// On which thread.
    pub thread: u32,
}

/// One wake.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenWake {
    /// The woken task.
    pub task: u64,
    /// The one who woke it.
    pub by: Actor,
    /// `made-ready`, `found-ready`, `found-running` or `found-complete`.
    #[serde(default)]
    pub did: String,
}

/// Events missing on one CPU.
#[derive(Clone, Debug, Deserialize)]
pub struct SeenGap {
    /// The number of events.
    pub lost: u64,
}

/// A task's waits by one chain.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenAwait {
    /// The task.
    pub task: u64,
    /// For how long.
    pub wait_ns: u64,
    /// From the outermost future on.
    pub chain: Vec<SeenFrame>,
}

/// A future of a chain.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct SeenFrame {
    /// In how many of the chain it lies.
    pub depth: usize,
    /// Its name.
    pub name: String,
    /// The file that it is written in, if that is known.
    pub file: Option<String>,
    /// The line that it has got to.
    pub line: Option<u32>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Line {
    Recording(Recording),
    Task(SeenTask),
    Poll(SeenPoll),
    Spawn(SeenSpawn),
    Wake(SeenWake),
    Gap(SeenGap),
    Await(SeenAwait),
    #[serde(other)]
    Other,
}

impl Recording {
    /// Returns the times between which the target was watched.
    #[must_use]
    pub fn watched(&self) -> std::ops::RangeInclusive<u64> {
        self.armed.monotonic_ns..=self.end_ns
    }
}

impl Seen {
    /// Reads a file of JSON lines.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or a line is not as `docs/json.md` has it.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(json_lines::read(path)?)
    }

    /// Reads JSON lines.
    ///
    /// # Errors
    ///
    /// As [`Seen::read`].
    pub fn parse(lines: impl BufRead) -> Result<Self> {
        Self::of(json_lines::of(lines))
    }

    fn of(lines: impl Iterator<Item = Result<Line>>) -> Result<Self> {
        let mut seen = Self::default();
        for (number, line) in lines.enumerate() {
            let line = line?;
            ensure!((number == 0) == matches!(line, Line::Recording(_)), "the recording is not line 1");
            seen.take(line)?;
        }
        Ok(seen)
    }

    fn take(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Recording(recording) => self.recording = recording,
            Line::Task(task) => {
                let id = task.task;
                ensure!(self.tasks.insert(id, task).is_none(), "task {id} has two lines");
            }
            Line::Poll(poll) => self.polls.entry(poll.task).or_default().push(poll),
            Line::Spawn(spawn) => self.spawns.push(spawn),
            Line::Wake(wake) => self.wakes.push(wake),
            Line::Gap(gap) => self.gaps.push(gap),
            Line::Await(awaited) => self.awaits.push(awaited),
            Line::Other => {}
        }
        Ok(())
    }
}
