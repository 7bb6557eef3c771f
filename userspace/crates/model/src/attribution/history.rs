//! How the histories of tasks grow, and whose work a task that has left was.

use std::sync::Arc;

use crate::Graph;
use crate::http::request::Request;
use crate::ids::{RequestId, TaskIndex};
use crate::task::Task;
use crate::task::history::{Happened, History, Lineage};
use crate::task::lifecycle::Parent;
use crate::task::owner::Owner;
use asyncscope_trace::event::TaskId;

impl Graph {
    /// Returns the owner of a task that has a history, decided once and for all: the task may have left, and
    /// what was reported of it stands.
    #[must_use]
    pub fn settled_owner(&self, lineage: &Lineage) -> Owner {
        for line in lineage.upwards() {
            line.settled.get_or_init(|| self.owner(line.id));
        }
        lineage.settled.get().cloned().unwrap_or_default()
    }

    /// Returns that owner if it has been decided, or nothing stands against deciding it now: each request that it
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

    /// Returns the owner that was decided of a task that spawned this one, and has left.
    pub(crate) fn owner_by_lineage(task: &Task) -> Option<Owner> {
        task.history.as_ref()?.line.up.as_ref()?.settled.get().cloned()
    }

    /// Starts the notes on a task that entered the graph, or whose parent turned out not to be known. None
    /// are taken of the runtime's own.
    pub(crate) fn start_history(&mut self, index: TaskIndex) {
        let task = &self.tasks[index];
        if self.config.span_detail.is_none() || task.runtime {
            return;
        }
        let parent = match task.parent() {
            Parent::Task(parent) => self.task(parent).and_then(|parent| parent.history.as_ref()),
            Parent::Root(_) | Parent::Unknown(_) => None,
        };
        let mut history = History::of(task, parent.map(|history| &history.line));
        if let Some(before) = self.tasks[index].history.take() {
            let line = history.line;
            history = History { line, ..*before };
        }
        self.tasks[index].history = Some(Box::new(history));
    }

    /// Notes what happened to a task, if notes are taken.
    pub(crate) fn note(&mut self, index: TaskIndex, what: Happened) {
        if let Some(history) = self.tasks.get_mut(index).and_then(|task| task.history.as_mut()) {
            history.happened(what);
        }
    }

    /// Notes a poll, if it took long.
    pub(crate) fn note_poll(&mut self, index: Option<TaskIndex>, start_ns: u64, end_ns: u64, thread: u32) {
        if let Some(index) = index.filter(|_| self.is_long(start_ns, end_ns)) {
            self.note(index, Happened::LongPoll { start_ns, end_ns, thread });
        }
    }

    /// Notes that a task was ready from `since` to now, if that is long.
    pub(crate) fn note_delay(&mut self, index: Option<TaskIndex>, since: Option<u64>) {
        let end_ns = self.clock.now;
        if let (Some(index), Some(start_ns)) = (index, since)
            && self.is_long(start_ns, end_ns)
        {
            self.note(index, Happened::Delay { start_ns, end_ns });
        }
    }

    pub(crate) fn is_long(&self, start: u64, end: u64) -> bool {
        self.config.span_detail.is_some_and(|span_detail| end.saturating_sub(start) >= span_detail.min_ns)
    }

    /// Notes who woke a task.
    pub(crate) fn note_wake(&mut self, index: TaskIndex, by: TaskId) {
        let line = self.task(by).and_then(|waker| waker.history.as_ref()).map(|history| Arc::clone(&history.line));
        let now = self.clock.now;
        if let (Some(line), Some(history)) = (line, self.tasks[index].history.as_mut()) {
            history.woken(&line, now);
        }
    }
}
