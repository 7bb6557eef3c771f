//! Reading one task, and judging whether it held still.

use std::collections::{BTreeSet, HashMap};

use probe_common::record::state::{COMPLETE, NOTIFIED, RUNNING};

use crate::session::clock::monotonic_ns;
use asyncscope_discovery::{addr::RuntimeAddr, process::Process};
use asyncscope_trace::{
    chain::{
        Program, TaskSnapshot,
        snapshot::{Doing, Unread},
        walk,
    },
    event::{Event, TaskId, What},
    facts::Facts,
};

/// The doings of each task that the hooks saw.
#[derive(Debug, Default)]
pub(crate) struct TaskActivity {
    /// All that happened before this was seen, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) seen_until: u64,
    by_header: HashMap<u64, Touches>,
    /// Events were lost at this time or before.
    lost_until: u64,
}

#[derive(Debug, Default)]
struct Touches {
    /// A poll was under way when this began to be kept, as far as seen.
    polled: bool,
    ended: bool,
    /// The touches since, and when.
    since: Vec<(u64, TaskTouch)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskTouch {
    Began,
    Ended,
    Completed,
    Other,
}

/// More touches of one task than this are not kept between two looks: it is in motion.
const TOUCHES_MAX: usize = 4096;

impl TaskActivity {
    pub(crate) fn saw(&mut self, event: &Event) {
        let (header, touch) = match &event.what {
            What::PollStart { task, .. } => (task.header, TaskTouch::Began),
            What::PollEnd { task, new, .. } if new.has(COMPLETE) => (task.header, TaskTouch::Completed),
            What::PollEnd { task, .. } => (task.header, TaskTouch::Ended),
            What::Shutdown { task, .. } | What::Spawn { task, .. } => (task.header, TaskTouch::Other),
            What::Wake { task, owned: true, .. } => {
                self.by_header.entry(task.header).or_default();
                return;
            }
            What::Gap { .. } => {
                self.lost_until = self.lost_until.max(event.at.time);
                return;
            }
            _ => return,
        };
        let known = self.by_header.entry(header).or_default();
        known.ended = touch == TaskTouch::Completed;
        if known.since.len() < TOUCHES_MAX {
            known.since.push((event.at.time, touch));
        }
    }

    /// Forgets when what happened until now; what is read from here on began later.
    pub(crate) fn begin(&mut self) {
        for known in self.by_header.values_mut() {
            known.polled = known.is_polled(u64::MAX);
            known.since.clear();
        }
    }

    /// Returns the headers of tasks that did something.
    pub(crate) fn headers(&self) -> BTreeSet<u64> {
        self.by_header.iter().filter(|(_, known)| !known.ended).map(|(&header, _)| header).collect()
    }

    /// Returns `true` if the task may have been changed while it was read.
    pub(crate) fn disturbed(&self, reading: &Reading) -> bool {
        if !reading.held_still || self.lost_until >= reading.from {
            return true;
        }
        let Some(known) = self.by_header.get(&reading.task.header) else { return false };
        let touched = known.since.iter().any(|&(time, _)| (reading.from..=reading.to).contains(&time));
        // A poll that began before has taken NOTIFIED away, unless the task was notified again.
        let under_way = reading.task.state != Doing::Waiting && known.is_polled(reading.from);
        touched || under_way || known.since.len() >= TOUCHES_MAX
    }
}

impl Touches {
    /// Returns `true` if a poll was under way at that time.
    fn is_polled(&self, at: u64) -> bool {
        let before = self.since.iter().take_while(|&&(time, _)| time < at);
        before.fold(self.polled, |polled, (_, touch)| match touch {
            TaskTouch::Began => true,
            TaskTouch::Ended | TaskTouch::Completed => false,
            TaskTouch::Other => polled,
        })
    }
}

/// A task as it was read, and when that began.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) task: TaskSnapshot,
    from: u64,
    to: u64,
    /// Its state word was the same at the end.
    held_still: bool,
}

impl Reading {
    /// Returns `true` if nothing was read that could have changed.
    pub(crate) fn is_settled(&self) -> bool {
        self.task.chain.is_none() && self.task.unread != Some(Unread::Running)
    }

    pub(crate) fn torn(self) -> TaskSnapshot {
        let unread = self.task.unread.or(Some(Unread::Torn));
        TaskSnapshot { chain: None, unread, ..self.task }
    }
}

/// The reader of one process's tasks.
pub(crate) struct TaskReader<'a> {
    process: &'a Process,
    /// The offset of the id in tasks of each type, by vtable.
    vtables: &'a HashMap<u64, u32>,
    program: &'a Program,
    facts: &'a Facts,
}

impl<'a> TaskReader<'a> {
    pub(crate) fn new(
        process: &'a Process,
        vtables: &'a HashMap<u64, u32>,
        program: &'a Program,
        facts: &'a Facts,
    ) -> Self {
        Self { process, vtables, program, facts }
    }

    /// Reads the task with this header; `None` if there is none, or it has ended.
    pub(crate) fn read(&mut self, header: u64) -> Option<Reading> {
        let from = monotonic_ns();
        let (state, vtable, id) = self.header(header)?;
        if state & COMPLETE != 0 {
            return None;
        }
        let doing = match (state & RUNNING != 0, state & NOTIFIED != 0) {
            (true, _) => Doing::Running,
            (false, true) => Doing::Ready,
            (false, false) => Doing::Waiting,
        };
        let mut task = TaskSnapshot { id, header, vtable, state: doing, chain: None, unread: None, joined: Vec::new() };
        let is_runtime = self.facts.types.iter().any(|ty| ty.vtable == vtable && ty.runtime);
        if is_runtime || doing == Doing::Running {
            task.unread = Some(if is_runtime { Unread::Runtime } else { Unread::Running });
            return Some(Reading { task, from, to: from, held_still: true });
        }
        let process = self.process;
        let mut read =
            |at: u64, buffer: &mut [u8]| (process.read_memory(RuntimeAddr(at), buffer) == buffer.len()).then_some(());
        task.chain = walk(self.program, header, vtable, &mut read);
        task.unread = task.chain.is_none().then_some(Unread::NoLayout);
        let joined = task.chain.iter().flat_map(|chain| chain.joined().collect::<Vec<_>>());
        task.joined = joined.filter_map(|header| Some((header, self.header(header)?.2))).collect();
        // The count of references may change at any time.
        const BITS: u64 = RUNNING | NOTIFIED | COMPLETE;
        let held_still = self.header(header).is_some_and(|(after, _, same)| same == id && after & BITS == state & BITS);
        Some(Reading { task, from, to: monotonic_ns(), held_still })
    }

    /// Returns a task's state word, vtable and id.
    fn header(&self, header: u64) -> Option<(u64, u64, TaskId)> {
        let (state, vtable) = (self.word(header)?, self.word(header.checked_add(16)?)?);
        let id = self.word(header.checked_add(u64::from(*self.vtables.get(&vtable)?))?)?;
        (id != 0).then_some((state, vtable, TaskId(id)))
    }

    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.process.read_memory(RuntimeAddr(address), &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
    }
}
