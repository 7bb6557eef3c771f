//! The truth that a target printed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// Everything a target lived. Times are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// By id.
    pub tasks: BTreeMap<u64, TrueTask>,
    /// Times when runtimes were dropped, first instant and last.
    pub shutdowns: Vec<(u64, u64)>,
    /// The number of answers that a load computed, all of them right.
    pub answers: u64,
    /// The ends of a storm's panics, by kind.
    pub storm: BTreeMap<String, Tally>,
    /// The wakers of a task, the first one surely, and nobody else.
    pub woken: Vec<(u64, Vec<TrueWaker>)>,
    /// The number of tasks that another tokio in the process spawned, which are not among [`Truth::tasks`].
    pub guests: u64,
}

/// A waker of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrueWaker {
    /// Another task.
    Task(u64),
    /// The runtime's I/O driver.
    Io,
    /// The runtime's timers.
    Time,
    /// The task itself, in its poll.
    Itself,
    /// The future of `block_on`.
    Root,
}

/// The ends of the panics of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Tasks spawned.
    pub tasks: u64,
    /// Of these, those that tokio reports as panicked.
    pub panicked: u64,
    /// Those that were cancelled, without a panic.
    pub cancelled: u64,
    /// Panics caught.
    pub caught: u64,
    /// The time it took, in microseconds.
    pub micros: u64,
}

/// One task's truth.
#[derive(Clone, Debug)]
pub struct TrueTask {
    /// Its spawn.
    pub spawn: TrueSpawn,
    /// Its type's name.
    pub name: String,
    /// The kind of its runner: `spawned`, `local` or `blocking`.
    pub kind: String,
    /// Its polls since the start signal; `None` where it does not count them.
    pub polls: Option<u64>,
    /// Its polls before the start signal.
    pub polls_before: u64,
    /// The way it ended: `completed`, `cancelled` or `panicked`.
    pub how: String,
    /// The time when its future was done or dropped, where it knows.
    pub ended: Option<u64>,
    /// The aborts of it.
    pub aborts: Vec<TrueAbort>,
    /// Its polls that caught a panic of their own, counted from 1.
    pub caught: BTreeSet<u64>,
}

/// A spawn, as the code around it saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct TrueSpawn {
    /// The task it was made in, if in any.
    pub parent: Option<u64>,
    /// The thread.
    pub thread: u32,
    /// Before the call.
    pub t0: u64,
    /// After the call.
    pub t1: u64,
    /// The begin of the innermost poll on the thread, if it was inside one.
    pub poll_began: Option<u64>,
}

/// An abort, as the code around it saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct TrueAbort {
    /// The thread.
    pub thread: u32,
    /// Before the call.
    pub t0: u64,
    /// After the call.
    pub t1: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Spawn {
        spawn: u64,
        #[serde(flatten)]
        what: TrueSpawn,
    },
    Task {
        task: u64,
        #[serde(rename = "type")]
        name: String,
        kind: String,
        polls: Option<u64>,
        polls_before: u64,
    },
    End {
        end: u64,
        how: String,
        time_ns: Option<u64>,
    },
    Abort {
        abort: u64,
        #[serde(flatten)]
        what: TrueAbort,
    },
    Caught {
        caught: u64,
        poll: u64,
    },
    Woken {
        woken: u64,
        by: Vec<TrueWaker>,
    },
    Shutdown {
        shutdown: Interval,
    },
    Answers {
        answers: u64,
    },
    Guests {
        guests: u64,
    },
    Storm {
        storm: String,
        of: Tally,
    },
    Wrong {
        wrong: String,
    },
}

#[derive(Deserialize)]
struct Interval {
    t0: u64,
    t1: u64,
}

impl Truth {
    /// Reads a target's output, in which a task's spawn and end come before its other lines.
    ///
    /// # Errors
    ///
    /// If a line is none of the truth's, the target found itself contradicted, or a parent, an end or
    /// a poll count is missing.
    pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Self> {
        let mut reader = Reader::default();
        for line in lines.iter().map(AsRef::as_ref) {
            if line != "done" && !line.starts_with("ready ") {
                let parsed = serde_json::from_str(line).with_context(|| format!("no truth: {line}"))?;
                reader.take(parsed).with_context(|| format!("in {line}"))?;
            }
        }
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    truth: Truth,
    spawns: BTreeMap<u64, TrueSpawn>,
    ends: BTreeMap<u64, (String, Option<u64>)>,
    aborts: Vec<(u64, TrueAbort)>,
    caught: Vec<(u64, u64)>,
}

impl Reader {
    fn take(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Spawn { spawn, what } => {
                ensure!(self.spawns.insert(spawn, what).is_none(), "a second spawn");
            }
            Line::End { end, how, time_ns } => {
                ensure!(self.ends.insert(end, (how, time_ns)).is_none(), "a second end");
            }
            Line::Task { task, name, kind, polls, polls_before } => {
                let spawn = self.spawns.remove(&task).context("no spawn")?;
                let (how, ended) = self.ends.remove(&task).context("no end")?;
                let (aborts, caught) = (Vec::new(), BTreeSet::new());
                let task_truth = TrueTask { spawn, name, kind, polls, polls_before, how, ended, aborts, caught };
                self.truth.tasks.insert(task, task_truth);
            }
            Line::Abort { abort, what } => self.aborts.push((abort, what)),
            Line::Caught { caught, poll } => self.caught.push((caught, poll)),
            Line::Woken { woken, by } => self.truth.woken.push((woken, by)),
            Line::Shutdown { shutdown } => self.truth.shutdowns.push((shutdown.t0, shutdown.t1)),
            Line::Answers { answers } => self.truth.answers = answers,
            Line::Guests { guests } => self.truth.guests = guests,
            Line::Storm { storm, of } => {
                ensure!(self.truth.storm.insert(storm, of).is_none(), "a second storm of a kind");
            }
            Line::Wrong { wrong } => bail!("the target says: {wrong}"),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Truth> {
        ensure!(self.spawns.is_empty() && self.ends.is_empty(), "tasks with a spawn or an end only");
        for (id, abort) in self.aborts {
            self.truth.tasks.get_mut(&id).context("an abort of no task")?.aborts.push(abort);
        }
        for (id, poll) in self.caught {
            self.truth.tasks.get_mut(&id).context("a panic in no task")?.caught.insert(poll);
        }
        let ids: HashSet<_> = self.truth.tasks.keys().collect();
        let parents = self.truth.tasks.values().filter_map(|task| task.spawn.parent);
        if let Some(orphan) = parents.into_iter().find(|parent| !ids.contains(parent)) {
            bail!("the parent {orphan} is no task");
        }
        Ok(self.truth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAWN: &str = r#"{"spawn":1,"parent":null,"thread":7,"t0":10,"t1":11,"poll_began":null}"#;
    const END: &str = r#"{"end":1,"how":"completed","time_ns":20}"#;
    const TASK: &str = r#"{"task":1,"type":"a","kind":"spawned","polls":2,"polls_before":0}"#;

    fn check(lines: &[&str], error: Option<&str>) {
        let message = Truth::parse(lines).err().map(|error| format!("{error:#}"));
        match (&message, error) {
            (None, None) => {}
            (Some(message), Some(part)) if message.contains(part) => {}
            _ => panic!("{message:?} instead of {error:?}"),
        }
    }

    #[test]
    fn one_task() {
        check(&["ready 5", SPAWN, END, TASK, "done"], None);
    }

    #[test]
    fn inconsistencies() {
        check(&[SPAWN, TASK], Some("no end"));
        check(&[END, TASK], Some("no spawn"));
        check(&[SPAWN, END], Some("only"));
        check(&[SPAWN, SPAWN, END, TASK], Some("a second spawn"));
        check(&[SPAWN, END, END, TASK], Some("a second end"));
        check(&[&SPAWN.replace("null,\"thread", "9,\"thread"), END, TASK], Some("parent 9"));
        check(&[r#"{"wrong":"a sum"}"#], Some("a sum"));
        check(&[r#"{"abort":3,"thread":1,"t0":1,"t1":2}"#], Some("abort of no task"));
        check(&["a stray line"], Some("no truth"));
    }
}
