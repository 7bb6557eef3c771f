//! What this process lived: tasks and single facts, kept in memory and printed at the end.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::os::now;

static TASKS: Mutex<Vec<Arc<Task>>> = Mutex::new(Vec::new());
static FACTS: Mutex<Vec<Value>> = Mutex::new(Vec::new());
static GO: AtomicBool = AtomicBool::new(false);

/// What runs a task, in the words of asyncscope's JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Spawned,
    Local,
    Blocking,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Completed,
    Cancelled,
    Panicked,
}

/// Who wakes a task, in the words of asyncscope's JSON but for the last ones.
#[derive(Clone, Copy, Debug)]
pub(crate) enum By {
    Task(u64),
    Io,
    Time,
    /// The task itself, in its poll.
    Itself,
    /// The future of `block_on`.
    Root,
}

/// A task's spawn, as the code that spawned it saw it.
#[derive(Debug)]
pub(crate) struct Spawn {
    pub(crate) id: u64,
    pub(crate) parent: Option<Arc<Task>>,
    pub(crate) thread: u32,
    /// Just before and just after the call.
    pub(crate) t0: u64,
    pub(crate) t1: u64,
    /// When the innermost counted poll on the thread began.
    pub(crate) poll_began: Option<u64>,
}

/// One task.
#[derive(Debug)]
pub(crate) struct Task {
    kind: Kind,
    type_name: String,
    /// Whether the task counts its polls itself; a bare one only has a name and a spawn.
    counted: bool,
    spawn: OnceLock<Spawn>,
    polls_before: AtomicU64,
    polls: AtomicU64,
    /// `None` as time: seen only by its effect, at an unknown time before.
    end: OnceLock<(How, Option<u64>)>,
}

impl Task {
    /// Enters a new task into the log.
    pub(crate) fn new(kind: Kind, type_name: &str, counted: bool) -> Arc<Self> {
        let task = Arc::new(Self {
            kind,
            type_name: type_name.to_owned(),
            counted,
            spawn: OnceLock::new(),
            polls_before: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            end: OnceLock::new(),
        });
        lock(&TASKS).push(Arc::clone(&task));
        task
    }

    pub(crate) fn spawned(&self, spawn: Spawn) {
        if let Err(second) = self.spawn.set(spawn) {
            wrong(&format!("a second spawn of task {}", second.id));
        }
    }

    /// Its id, once the call that spawns it has returned.
    pub(crate) fn id(&self) -> Option<u64> {
        self.spawn.get().map(|spawn| spawn.id)
    }

    /// Counts a poll that begins now: before or after the start signal.
    pub(crate) fn count_poll(&self) {
        let polls = if gone() { &self.polls } else { &self.polls_before };
        polls.fetch_add(1, Ordering::Relaxed);
    }

    /// All polls so far.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed) + self.polls_before.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self, how: How, time: Option<u64>) {
        if self.end.set((how, time)).is_err() {
            wrong(&format!("a second end of {:?}", self.spawn));
        }
    }

    pub(crate) fn ended(&self) -> Option<How> {
        self.end.get().map(|(how, _)| *how)
    }

    fn lines(&self) -> Vec<Value> {
        let (Some(spawn), Some((how, time))) = (self.spawn.get(), self.end.get()) else {
            return vec![json!({ "wrong": format!("spawned or ended by halves: {self:?}") })];
        };
        let id = spawn.id;
        let mut lines = vec![
            json!({
                "spawn": id, "parent": spawn.parent.as_ref().and_then(|parent| parent.id()), "thread": spawn.thread,
                "t0": spawn.t0, "t1": spawn.t1, "poll_began": spawn.poll_began,
            }),
            json!({ "end": id, "how": format!("{how:?}").to_lowercase(), "time_ns": time }),
        ];
        lines.push(json!({
            "task": id, "type": self.type_name, "kind": format!("{:?}", self.kind).to_lowercase(),
            "polls": self.counted.then(|| self.polls.load(Ordering::Relaxed)),
            "polls_before": self.polls_before.load(Ordering::Relaxed),
        }));
        if self.counted && self.polls() == 0 && *how != How::Cancelled {
            lines.push(json!({ "wrong": format!("task {id} is {how:?} without a poll") }));
        }
        lines
    }
}

/// Logs one fact beside the tasks.
pub(crate) fn fact(fact: Value) {
    lock(&FACTS).push(fact);
}

/// Logs who wakes a task: nobody else does, and the first one surely.
pub(crate) fn woken(task: u64, by: Vec<By>) {
    let by: Vec<Value> = by
        .into_iter()
        .map(|by| match by {
            By::Task(id) => json!({ "task": id }),
            other => json!(format!("{other:?}").to_lowercase()),
        })
        .collect();
    fact(json!({ "woken": task, "by": by }));
}

/// Logs that the scenario contradicts itself, or tokio.
pub(crate) fn wrong(what: &str) {
    fact(json!({ "wrong": what }));
}

/// From here on polls count as watched.
pub(crate) fn go() {
    GO.store(true, Ordering::SeqCst);
}

fn gone() -> bool {
    GO.load(Ordering::Relaxed)
}

/// Runs what drops or shuts down a runtime, and logs when.
pub(crate) fn shutdown(drop_runtime: impl FnOnce()) {
    let t0 = now();
    drop_runtime();
    fact(json!({ "shutdown": { "t0": t0, "t1": now() } }));
}

/// Waits until every task has ended; some runtimes shut down in the background.
pub(crate) fn settle() {
    for _ in 0..500 {
        if lock(&TASKS).iter().all(|task| task.end.get().is_some()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Prints everything as JSON lines and returns how many of them are wrong.
pub(crate) fn print(out: &mut dyn Write) -> io::Result<u64> {
    let tasks = std::mem::take(&mut *lock(&TASKS));
    let facts = std::mem::take(&mut *lock(&FACTS));
    let mut wrongs = 0;
    for line in tasks.iter().flat_map(|task| task.lines()).chain(facts) {
        wrongs += u64::from(line.get("wrong").is_some());
        writeln!(out, "{line}")?;
    }
    Ok(wrongs)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
