//! Lines that the target wrote to its standard output and error, and who wrote each.
//!
//! A line is put together for each stream from what passed, in the order of time: one call may write several,
//! and several calls one. Whose a line is follows from the task that is being polled on the thread which
//! writes it; a thread outside of every poll, such as one that writes for others, tells nothing of it. What
//! was collected elsewhere before it was written is, for all that can be seen, that of who writes it.

use std::collections::BTreeMap;

use super::Graph;
use super::call::Owner;
use super::frames::Actor;
use super::life::{Parent, Why};
use super::own::Kin;
use super::setup::Detail;
use asyncscope_trace::event::{At, Missing, Print, Standard, TaskId};

/// The most that is kept of one line, in bytes.
pub const LINE_MAX: usize = 8192;

/// A line's number, in the order in which lines ended; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrintedId(pub u64);

/// A line that the target wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Where to.
    pub to: Standard,
    /// When the first of it was written, in nanoseconds.
    pub time_ns: u64,
    /// The thread that wrote it; `None` if several did.
    pub thread: Option<u32>,
    /// The task that was polled on that thread meanwhile; `None` if none was, several were, or it is not
    /// known.
    pub task: Option<TaskId>,
    /// Why it is not known whether a task wrote it, if it is not.
    pub unknown: Option<Why>,
    /// The line without its end, at most [`LINE_MAX`] bytes. Escape it before you show it.
    pub text: Box<[u8]>,
    /// Why this may not be all of it.
    pub cut: Option<Cut>,
    kin: Kin,
    /// The place of the stretch in which it was written.
    stretch: Option<usize>,
}

/// Why a line may not be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is longer than is kept.
    Long,
    /// Bytes of it may be missing: events are, or it may have begun before the hooks were armed.
    Doubtful,
    /// It had no end when the recording ended.
    Open,
}

/// Who wrote a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Author {
    thread: Option<u32>,
    task: Option<TaskId>,
    unknown: Option<Why>,
    kin: Kin,
}

/// A line that has no end yet.
#[derive(Debug)]
struct Open {
    time_ns: u64,
    author: Author,
    text: Vec<u8>,
    cut: Option<Cut>,
}

/// All lines.
#[derive(Debug)]
pub(super) struct Prints {
    lines: BTreeMap<PrintedId, Printed>,
    last: u64,
    /// The bytes of the lines that are kept.
    bytes: u64,
    /// By stream.
    open: [Option<Open>; 2],
    /// By stream: the next line may not have its beginning.
    torn: [bool; 2],
}

impl Prints {
    pub(super) fn new(from_first_instruction: bool) -> Self {
        let torn = [!from_first_instruction; 2];
        Self { lines: BTreeMap::new(), last: 0, bytes: 0, open: [None, None], torn }
    }

    pub(super) fn is_kept(&self, id: PrintedId) -> bool {
        self.lines.contains_key(&id)
    }
}

fn place(to: Standard) -> usize {
    match to {
        Standard::Output => 0,
        Standard::Error => 1,
    }
}

impl Author {
    const fn unknown(why: Option<Why>) -> Self {
        Self { thread: None, task: None, unknown: why, kin: Kin::Nobody }
    }

    /// Who wrote a line of which another part is this one's.
    fn and(&mut self, other: Self) {
        if *self == other {
            return;
        }
        let same_task = self.task == other.task;
        *self = Self {
            thread: self.thread.filter(|_| self.thread == other.thread),
            task: self.task.filter(|_| same_task),
            unknown: self.unknown.or(other.unknown),
            kin: if same_task && self.kin == other.kin { other.kin } else { Kin::Nobody },
        };
    }
}

impl Open {
    fn add(&mut self, bytes: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.text.len());
        let (fits, rest) = bytes.split_at(bytes.len().min(room));
        self.text.extend_from_slice(fits);
        if !rest.is_empty() {
            self.cut.get_or_insert(Cut::Long);
        }
    }
}

impl Printed {
    fn lose(&mut self) {
        self.task = None;
        self.unknown = Some(Why::Gap);
        self.kin = Kin::Nobody;
        self.stretch = None;
    }
}

impl Graph {
    /// The lines, by their ends.
    pub fn printed(&self) -> impl ExactSizeIterator<Item = (PrintedId, &Printed)> {
        self.prints.lines.iter().map(|(id, line)| (*id, line))
    }

    /// The line of this number.
    #[must_use]
    pub fn line(&self, id: PrintedId) -> Option<&Printed> {
        self.prints.lines.get(&id)
    }

    /// The lines that ended after this one.
    pub fn printed_after(&self, last: PrintedId) -> impl Iterator<Item = (PrintedId, &Printed)> {
        let after = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
        self.prints.lines.range(after).map(|(id, line)| (*id, line))
    }

    /// Whose work a line was.
    #[must_use]
    pub fn owner_of_printed(&self, line: &Printed) -> Owner {
        let owner = match (&line.kin, line.task) {
            (Kin::Of(id), _) => Owner::Request(*id),
            (Kin::Between(ids), _) => Owner::of(ids.0.clone()),
            (Kin::Parent, Some(task)) => self.owner(task),
            (Kin::Parent | Kin::Nobody, _) => Owner::None,
        };
        let stretch = line.stretch.filter(|_| owner == Owner::None).and_then(|place| self.stretches.get(place));
        stretch.map_or(owner, |stretch| self.owner_of_stretch(stretch))
    }

    /// Takes a [`asyncscope_trace::event::What::Print`].
    pub(super) fn print(&mut self, at: &At, print: &Print) {
        if self.setup.printed_max.is_none() {
            return;
        }
        let author = self.author(at.tid);
        let mut lines = print.bytes.split(|&byte| byte == b'\n');
        if let Some(first) = lines.next().filter(|_| !print.bytes.is_empty()) {
            self.add_to_line(print.to, &author, first);
        }
        for next in lines {
            self.end_line(at.tid, print.to);
            if !next.is_empty() {
                self.add_to_line(print.to, &author, next);
            }
        }
        if let Some(missing) = print.missing {
            self.miss(at.tid, print.to, author, missing);
        }
    }

    /// Bytes are missing of which it is not known how many lines they are.
    fn miss(&mut self, tid: u32, to: Standard, author: Author, missing: Missing) {
        self.totals.print_bytes_missing = self.totals.print_bytes_missing.saturating_add(missing.bytes);
        self.add_to_line(to, &author, &[]);
        if let Some(open) = &mut self.prints.open[place(to)] {
            open.cut = Some(Cut::Long);
        }
        if missing.ends_line {
            self.end_line(tid, to);
        }
    }

    fn author(&self, tid: u32) -> Author {
        let by = |task, unknown, kin| Author { thread: Some(tid), task, unknown, kin };
        match self.actor(tid) {
            Actor::Task(index) => {
                let id = self.tasks[index].id;
                by(Some(id), None, self.kin_of(Parent::Task(id)))
            }
            Actor::Worker | Actor::Thread => by(None, None, Kin::Nobody),
            Actor::Unknown(why) => by(None, Some(why), Kin::Nobody),
        }
    }

    fn add_to_line(&mut self, to: Standard, author: &Author, bytes: &[u8]) {
        let (now, place) = (self.now, place(to));
        let torn = &mut self.prints.torn[place];
        let open = self.prints.open[place].get_or_insert_with(|| Open {
            time_ns: now,
            author: author.clone(),
            text: Vec::new(),
            cut: std::mem::take(torn).then_some(Cut::Doubtful),
        });
        open.author.and(author.clone());
        open.add(bytes);
    }

    /// The line ends, on this thread.
    fn end_line(&mut self, tid: u32, to: Standard) {
        let author = self.author(tid);
        // An empty line, or one that ends with another's.
        self.add_to_line(to, &author, &[]);
        if let Some(open) = self.prints.open[place(to)].take()
            && let Some(id) = self.keep_line(to, open)
        {
            self.mark_print(tid, id);
        }
    }

    fn keep_line(&mut self, to: Standard, open: Open) -> Option<PrintedId> {
        const FIXED: u64 = size_of::<Printed>() as u64;
        let Author { thread, task, unknown, kin } = open.author;
        self.totals.lines += 1;
        let bytes = self.prints.bytes.saturating_add(open.text.len() as u64 + FIXED);
        if self.setup.printed_max.is_none_or(|max| bytes > max) {
            self.totals.lines_dropped += 1;
            return None;
        }
        self.prints.bytes = bytes;
        self.prints.last += 1;
        let id = PrintedId(self.prints.last);
        let (time_ns, text, cut) = (open.time_ns, open.text.into_boxed_slice(), open.cut);
        self.prints.lines.insert(id, Printed { to, time_ns, thread, task, unknown, text, cut, kin, stretch: None });
        self.fresh.prints.push((self.now, id));
        Some(id)
    }

    /// Events are missing since then: what was said of who wrote lines may be wrong, and lines may be without
    /// their end or beginning.
    pub(super) fn prints_gap(&mut self, since: u64) {
        for to in [Standard::Output, Standard::Error] {
            let place = place(to);
            if let Some(mut open) = self.prints.open[place].take() {
                open.author = Author { thread: open.author.thread, ..Author::unknown(Some(Why::Gap)) };
                open.cut = Some(Cut::Doubtful);
                self.keep_line(to, open);
            }
            self.prints.torn[place] = true;
        }
        while let Some((_, id)) = self.fresh.prints.pop_if(|(time, _)| *time >= since) {
            if let Some(line) = self.prints.lines.get_mut(&id) {
                line.lose();
            }
        }
    }

    /// The recording ends.
    pub(super) fn close_lines(&mut self) {
        for to in [Standard::Output, Standard::Error] {
            if let Some(mut open) = self.prints.open[place(to)].take() {
                open.cut.get_or_insert(Cut::Open);
                self.keep_line(to, open);
            }
        }
    }

    /// The lines lie in this stretch.
    pub(super) fn stretch_of_lines(&mut self, lines: &[PrintedId], stretch: usize) {
        for id in lines {
            if let Some(line) = self.prints.lines.get_mut(id) {
                line.stretch = Some(stretch);
            }
        }
    }

    /// Lets these lines leave.
    pub fn let_go_printed(&mut self, lines: &[PrintedId]) {
        const FIXED: u64 = size_of::<Printed>() as u64;
        for id in lines {
            if let Some(line) = self.prints.lines.remove(id) {
                self.prints.bytes = self.prints.bytes.saturating_sub(line.text.len() as u64 + FIXED);
            }
        }
    }

    /// Whether stretches are of use to an output.
    pub(super) fn keeps_stretches(&self) -> bool {
        let tells_lines = self.setup.printed_max.is_some() && self.setup.detail == Detail::Requests;
        tells_lines || self.setup.detail == Detail::Intervals
    }
}
