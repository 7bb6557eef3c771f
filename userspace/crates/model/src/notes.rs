//! What of a task's life is worth telling one by one, where that is wanted: bounded, however long it lives.

use std::sync::{Arc, OnceLock};

use super::Graph;
use super::awaits::Awaits;
use super::call::Owner;
use super::life::Parent;
use super::request::{Request, RequestId};
use super::task::Task;
use asyncscope_trace::event::TaskId;

/// Moments, and wakers, kept of one task.
pub const MAX_NOTES: usize = 128;
/// The longest line of ancestors that is kept.
const MAX_LINE: usize = 512;

/// What is worth a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Polls, delays before them, and waits, of at least so many nanoseconds.
    pub min_ns: u64,
}

/// A task's notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notes {
    /// The task and its ancestors.
    pub line: Arc<Lineage>,
    /// What happened, by the time at which it was known.
    pub happened: Vec<Happened>,
    /// How much more of it there was.
    pub more_happened: u64,
    /// The tasks that woke it, in the order of their first wakes.
    pub wakers: Vec<Waker>,
    /// Wakes by tasks beyond those.
    pub more_wakes: u64,
    /// Its waits, but for those while it served one request.
    pub awaits: Awaits,
}

/// A task and the line of those that spawned it.
#[derive(Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The task.
    pub id: TaskId,
    /// Its type's key.
    pub vtable: u64,
    /// The task that spawned it, if it is one of which notes are taken.
    pub parent: Option<TaskId>,
    /// That task's line; `None` also where the line is longer than is kept.
    pub up: Option<Arc<Lineage>>,
    /// The oldest known ancestor: the task itself if its parent is no task, or not known.
    pub root: Root,
    /// Whose work the task is, once somebody had to know.
    settled: OnceLock<Owner>,
    /// How many ancestors are kept.
    depth: usize,
}

/// The oldest known ancestor of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The task.
    pub id: TaskId,
    /// When it was first seen, in nanoseconds.
    pub first_seen_ns: u64,
}

/// Something that happened to a task, in nanoseconds and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A poll that took long.
    LongPoll { start_ns: u64, end_ns: u64, thread: u32 },
    /// It was ready for long before a thread took it.
    Delay { start_ns: u64, end_ns: u64 },
    /// A panic began in it.
    Panic { time_ns: u64, thread: u32 },
    /// It was asked to cancel.
    Abort { time_ns: u64, thread: u32 },
}

/// A task that woke another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waker {
    /// The waker.
    pub lineage: Arc<Lineage>,
    /// Its first wake that made the woken task ready, or found it running.
    pub first_ns: u64,
    /// Its last.
    pub last_ns: u64,
    /// How many.
    pub times: u64,
}

impl Notes {
    fn of(task: &Task, parent: Option<&Arc<Lineage>>) -> Self {
        let own = Root { id: task.id, first_seen_ns: task.first_seen_ns };
        let kept = parent.filter(|line| line.depth + 1 < MAX_LINE).cloned();
        let line = Lineage {
            id: task.id,
            vtable: task.vtable,
            parent: parent.map(|line| line.id),
            root: parent.map_or(own, |line| line.root),
            depth: kept.as_ref().map_or(0, |line| line.depth + 1),
            up: kept,
            settled: OnceLock::new(),
        };
        let (happened, wakers, awaits) = (Vec::new(), Vec::new(), Awaits::default());
        Self { line: Arc::new(line), happened, more_happened: 0, wakers, more_wakes: 0, awaits }
    }

    pub(super) fn happened(&mut self, what: Happened) {
        if self.happened.len() < MAX_NOTES {
            self.happened.push(what);
        } else {
            self.more_happened += 1;
        }
    }

    fn woken(&mut self, by: &Arc<Lineage>, now: u64) {
        if let Some(waker) = self.wakers.iter_mut().find(|waker| waker.lineage.id == by.id) {
            waker.last_ns = now;
            waker.times += 1;
        } else if self.wakers.len() < MAX_NOTES {
            self.wakers.push(Waker { lineage: Arc::clone(by), first_ns: now, last_ns: now, times: 1 });
        } else {
            self.more_wakes += 1;
        }
    }
}

impl Lineage {
    /// Whether it is longer than is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.up.is_none() && self.parent.is_some()
    }

    /// The line from here up to the oldest kept ancestor.
    pub fn upwards(&self) -> impl Iterator<Item = &Lineage> {
        std::iter::successors(Some(self), |line| line.up.as_deref())
    }
}

impl Graph {
    /// Whose work a task of which notes are taken is, decided once and for all: the task may have left, and
    /// what was told of it stands.
    #[must_use]
    pub fn settled_owner(&self, lineage: &Lineage) -> Owner {
        for line in lineage.upwards() {
            line.settled.get_or_init(|| self.owner(line.id));
        }
        lineage.settled.get().cloned().unwrap_or_default()
    }

    /// The same, if it has been decided, or nothing stands against deciding it now: each request that it
    /// may be of has closed.
    #[must_use]
    pub fn owner_if_settled(&self, lineage: &Lineage) -> Option<Owner> {
        if let Some(owner) = lineage.settled.get() {
            return Some(owner.clone());
        }
        let owner = self.owner(lineage.id);
        let open = |id: &RequestId| self.request(*id).is_some_and(Request::is_open);
        (self.finished || !owner.candidates().iter().any(open)).then(|| self.settled_owner(lineage))
    }

    /// What was decided of a task that spawned this one, and has left.
    pub(super) fn owner_by_lineage(&self, task: &Task) -> Option<Owner> {
        task.notes.as_ref()?.line.up.as_ref()?.settled.get().cloned()
    }

    /// Starts the notes on a task that entered the graph, or whose parent turned out not to be known. None
    /// are taken of the runtime's own.
    pub(super) fn start_notes(&mut self, index: usize) {
        let task = &self.tasks[index];
        if self.setup.noted.is_none() || task.runtime {
            return;
        }
        let parent = match task.parent() {
            Parent::Task(parent) => self.task(parent).and_then(|parent| parent.notes.as_ref()),
            Parent::Root(_) | Parent::Unknown(_) => None,
        };
        let mut notes = Notes::of(task, parent.map(|notes| &notes.line));
        if let Some(before) = self.tasks[index].notes.take() {
            let line = notes.line;
            notes = Notes { line, ..*before };
        }
        self.tasks[index].notes = Some(Box::new(notes));
    }

    /// Notes what happened to a task, if notes are taken.
    pub(super) fn note(&mut self, index: usize, what: Happened) {
        if let Some(notes) = self.tasks.get_mut(index).and_then(|task| task.notes.as_mut()) {
            notes.happened(what);
        }
    }

    /// Notes a poll, if it took long.
    pub(super) fn note_poll(&mut self, index: Option<usize>, start_ns: u64, end_ns: u64, thread: u32) {
        if let Some(index) = index.filter(|_| self.is_long(start_ns, end_ns)) {
            self.note(index, Happened::LongPoll { start_ns, end_ns, thread });
        }
    }

    /// Notes that a task was ready from `since` to now, if that is long.
    pub(super) fn note_delay(&mut self, index: Option<usize>, since: Option<u64>) {
        let end_ns = self.now;
        if let (Some(index), Some(start_ns)) = (index, since)
            && self.is_long(start_ns, end_ns)
        {
            self.note(index, Happened::Delay { start_ns, end_ns });
        }
    }

    pub(super) fn is_long(&self, start: u64, end: u64) -> bool {
        self.setup.noted.is_some_and(|noted| end.saturating_sub(start) >= noted.min_ns)
    }

    /// Notes who woke a task.
    pub(super) fn note_wake(&mut self, index: usize, by: TaskId) {
        let line = self.task(by).and_then(|waker| waker.notes.as_ref()).map(|notes| Arc::clone(&notes.line));
        let now = self.now;
        if let (Some(line), Some(notes)) = (line, self.tasks[index].notes.as_mut()) {
            notes.woken(&line, now);
        }
    }
}
