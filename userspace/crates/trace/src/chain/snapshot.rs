//! All live tasks of a target, each read at a moment at which it stood still.

use super::{Chain, Cut, Seen};
use crate::event::TaskId;

/// The findings of `dump`.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The tasks, by id.
    pub tasks: Vec<TaskSnapshot>,
    /// The time it was taken at, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// The places where tasks were looked for.
    pub search: Search,
    /// Readings that were thrown away, since a poll began meanwhile.
    pub thrown_away: u64,
}

/// The places where tasks were looked for, and the number that may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Runtimes whose list of tasks was found.
    pub runtimes: usize,
    /// The number of tasks that these runtimes say they have; `None` where they do not say it.
    pub stated: Option<u64>,
    /// Tasks found in these lists.
    pub listed: usize,
    /// Tasks found only because they were polled, woken or spawned meanwhile.
    pub only_seen: usize,
    /// Tasks that were left when the time for reading was over.
    pub unread: usize,
    /// The reason why no list was looked at.
    pub why_not: Option<&'static str>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct TaskSnapshot {
    /// Its id.
    pub id: TaskId,
    /// The address of its header.
    pub header: u64,
    /// Its type.
    pub vtable: u64,
    /// Its state when it was looked at.
    pub state: Doing,
    /// Its futures; `None`: see `unread`.
    pub chain: Option<Chain>,
    /// The reason why its futures could not be read.
    pub unread: Option<Unread>,
    /// The tasks behind the headers that its leaves wait for: header and id.
    pub joined: Vec<(u64, TaskId)>,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It is polled.
    Running,
    /// It is to be polled.
    Ready,
    /// It waits to be woken.
    Waiting,
}

/// The reason why the futures of a task are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It was running.
    Running,
    /// It was polled again and again meanwhile.
    Torn,
    /// The layout of its type is not known.
    NoLayout,
    /// It is the runtime's own.
    Runtime,
}

impl TaskSnapshot {
    /// Returns `true` if all of its futures are known.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.cut.is_none())
    }

    /// The reason why its chain ends early.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.chain.as_ref().and_then(|chain| chain.cut)
    }
}

impl Chain {
    /// The frames that wait for nothing inside of them.
    pub fn leaves(&self) -> impl Iterator<Item = &super::Node> {
        let depths: Vec<u16> = self.nodes.iter().map(|node| node.depth).collect();
        let is_leaf = move |at: usize| match (depths.get(at), depths.get(at + 1)) {
            (Some(depth), Some(next)) => next <= depth,
            _ => true,
        };
        self.nodes.iter().enumerate().filter(move |&(at, _)| is_leaf(at)).map(|(_, node)| node)
    }

    /// The addresses of the tasks that it waits for.
    pub fn joined(&self) -> impl Iterator<Item = u64> {
        self.nodes.iter().filter_map(|node| match node.seen {
            Some(Seen::Task(header)) => Some(header),
            _ => None,
        })
    }
}
