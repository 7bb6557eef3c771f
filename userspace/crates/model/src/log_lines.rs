//! Lines that the target wrote to its standard output and error, and who wrote each.
//!
//! A line is put together for each stream from what passed, in the order of time: one call may write several,
//! and several calls one. Whose a line is follows from the task that is being polled on the thread which
//! writes it; a thread outside of every poll, such as one that writes for others, shows nothing of it. What
//! was collected elsewhere before it was written is, for all that can be seen, that of who writes it.

use std::collections::BTreeMap;

use crate::Graph;
use crate::config::Detail;
use crate::ids::LoggedLineId;
use crate::scheduling::thread::Actor;
use crate::task::lifecycle::{Parent, Why};
use crate::task::owner::{Inherited, Owner};
use asyncscope_trace::event::{At, Missing, Print, Standard, TaskId};

/// The most that is kept of one line, in bytes.
pub const LINE_MAX: usize = 8192;

/// A line that the target wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedLine {
    /// The stream that it was written to.
    pub to: Standard,
    /// The time at which the first of it was written, in nanoseconds.
    pub time_ns: u64,
    /// The thread that wrote it; `None` if several did.
    pub thread: Option<u32>,
    /// The task that was polled on that thread meanwhile; `None` if none was, several were, or it is not
    /// known.
    pub task: Option<TaskId>,
    /// The reason why it is not known whether a task wrote it, if it is not.
    pub unknown: Option<Why>,
    /// The line without its end, at most [`LINE_MAX`] bytes. Escape it before you show it.
    pub text: Box<[u8]>,
    /// The reason why this may not be all of it, if there is one.
    pub cut: Option<LineCut>,
    inherited: Inherited,
    /// The place of the stretch in which it was written.
    segment: Option<usize>,
}

/// A reason why a line may not be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineCut {
    /// It is longer than is kept.
    Long,
    /// Bytes of it may be missing: events are, or it may have begun before the hooks were armed.
    Doubtful,
    /// It had no end when the recording ended.
    Open,
}

/// The author of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Author {
    thread: Option<u32>,
    task: Option<TaskId>,
    unknown: Option<Why>,
    inherited: Inherited,
}

/// A line that has no end yet.
#[derive(Debug)]
struct OpenLine {
    time_ns: u64,
    author: Author,
    text: Vec<u8>,
    cut: Option<LineCut>,
}

/// All lines.
#[derive(Debug)]
pub(crate) struct LogLines {
    lines: BTreeMap<LoggedLineId, LoggedLine>,
    last: u64,
    /// The bytes of the lines that are kept.
    bytes: u64,
    /// By stream.
    open: [Option<OpenLine>; 2],
    /// By stream: the next line may not have its beginning.
    torn: [bool; 2],
}

impl LogLines {
    pub(crate) fn new(from_first_instruction: bool) -> Self {
        let torn = [!from_first_instruction; 2];
        Self { lines: BTreeMap::new(), last: 0, bytes: 0, open: [None, None], torn }
    }

    pub(crate) fn is_kept(&self, id: LoggedLineId) -> bool {
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
        Self { thread: None, task: None, unknown: why, inherited: Inherited::Nobody }
    }

    /// Adds the author of another part of the line.
    fn and(&mut self, other: Self) {
        if *self == other {
            return;
        }
        let same_task = self.task == other.task;
        *self = Self {
            thread: self.thread.filter(|_| self.thread == other.thread),
            task: self.task.filter(|_| same_task),
            unknown: self.unknown.or(other.unknown),
            inherited: if same_task && self.inherited == other.inherited { other.inherited } else { Inherited::Nobody },
        };
    }
}

impl OpenLine {
    fn add(&mut self, bytes: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.text.len());
        let (fits, rest) = bytes.split_at(bytes.len().min(room));
        self.text.extend_from_slice(fits);
        if !rest.is_empty() {
            self.cut.get_or_insert(LineCut::Long);
        }
    }
}

impl LoggedLine {
    fn retract(&mut self) {
        self.task = None;
        self.unknown = Some(Why::Gap);
        self.inherited = Inherited::Nobody;
        self.segment = None;
    }
}

impl Graph {
    /// The lines, by their ends.
    pub fn log_lines(&self) -> impl ExactSizeIterator<Item = (LoggedLineId, &LoggedLine)> {
        self.log_lines.lines.iter().map(|(id, line)| (*id, line))
    }

    /// The line of this number.
    #[must_use]
    pub fn line(&self, id: LoggedLineId) -> Option<&LoggedLine> {
        self.log_lines.lines.get(&id)
    }

    /// The lines that ended after this one.
    pub fn log_lines_after(&self, last: LoggedLineId) -> impl Iterator<Item = (LoggedLineId, &LoggedLine)> {
        let after = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
        self.log_lines.lines.range(after).map(|(id, line)| (*id, line))
    }

    /// Returns the owner of a line.
    #[must_use]
    pub fn owner_of_log_line(&self, line: &LoggedLine) -> Owner {
        let owner = match (&line.inherited, line.task) {
            (Inherited::Of(id), _) => Owner::Request(*id),
            (Inherited::Between(ids), _) => Owner::of(ids.0.clone()),
            (Inherited::Parent, Some(task)) => self.owner(task),
            (Inherited::Parent | Inherited::Nobody, _) => Owner::None,
        };
        let segment = line.segment.filter(|_| owner == Owner::None).and_then(|place| self.segments.get(place));
        segment.map_or(owner, |segment| self.owner_of_segment(segment))
    }

    /// Takes a [`asyncscope_trace::event::What::Print`].
    pub(crate) fn print(&mut self, at: &At, print: &Print) {
        if self.config.log_lines_max.is_none() {
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
        if let Some(open) = &mut self.log_lines.open[place(to)] {
            open.cut = Some(LineCut::Long);
        }
        if missing.ends_line {
            self.end_line(tid, to);
        }
    }

    fn author(&self, tid: u32) -> Author {
        let by = |task, unknown, inherited| Author { thread: Some(tid), task, unknown, inherited };
        match self.actor(tid) {
            Actor::Task(index) => {
                let id = self.tasks[index].id;
                by(Some(id), None, self.inherited_from(Parent::Task(id)))
            }
            Actor::Worker | Actor::Thread => by(None, None, Inherited::Nobody),
            Actor::Unknown(why) => by(None, Some(why), Inherited::Nobody),
        }
    }

    fn add_to_line(&mut self, to: Standard, author: &Author, bytes: &[u8]) {
        let (now, place) = (self.clock.now, place(to));
        let torn = &mut self.log_lines.torn[place];
        let open = self.log_lines.open[place].get_or_insert_with(|| OpenLine {
            time_ns: now,
            author: author.clone(),
            text: Vec::new(),
            cut: std::mem::take(torn).then_some(LineCut::Doubtful),
        });
        open.author.and(author.clone());
        open.add(bytes);
    }

    /// The line ends, on this thread.
    fn end_line(&mut self, tid: u32, to: Standard) {
        let author = self.author(tid);
        // An empty line, or one that ends with another's.
        self.add_to_line(to, &author, &[]);
        if let Some(open) = self.log_lines.open[place(to)].take()
            && let Some(id) = self.keep_line(to, open)
        {
            self.mark_log_line(tid, id);
        }
    }

    fn keep_line(&mut self, to: Standard, open: OpenLine) -> Option<LoggedLineId> {
        const FIXED: u64 = size_of::<LoggedLine>() as u64;
        let Author { thread, task, unknown, inherited } = open.author;
        self.totals.lines += 1;
        let bytes = self.log_lines.bytes.saturating_add(open.text.len() as u64 + FIXED);
        if self.config.log_lines_max.is_none_or(|max| bytes > max) {
            self.totals.lines_dropped += 1;
            return None;
        }
        self.log_lines.bytes = bytes;
        self.log_lines.last += 1;
        let id = LoggedLineId(self.log_lines.last);
        let (time_ns, text, cut) = (open.time_ns, open.text.into_boxed_slice(), open.cut);
        self.log_lines
            .lines
            .insert(id, LoggedLine { to, time_ns, thread, task, unknown, text, cut, inherited, segment: None });
        self.undo.line_ended(self.clock.now, id);
        Some(id)
    }

    /// Events are missing since then: what was said of who wrote lines may be wrong, and lines may be without
    /// their end or beginning.
    pub(crate) fn retract_log_lines(&mut self, since: u64) {
        for to in [Standard::Output, Standard::Error] {
            let place = place(to);
            if let Some(mut open) = self.log_lines.open[place].take() {
                open.author = Author { thread: open.author.thread, ..Author::unknown(Some(Why::Gap)) };
                open.cut = Some(LineCut::Doubtful);
                self.keep_line(to, open);
            }
            self.log_lines.torn[place] = true;
        }
        while let Some(id) = self.undo.pop_line_since(since) {
            if let Some(line) = self.log_lines.lines.get_mut(&id) {
                line.retract();
            }
        }
    }

    /// The recording ends.
    pub(crate) fn close_lines(&mut self) {
        for to in [Standard::Output, Standard::Error] {
            if let Some(mut open) = self.log_lines.open[place(to)].take() {
                open.cut.get_or_insert(LineCut::Open);
                self.keep_line(to, open);
            }
        }
    }

    /// The lines lie in this segment.
    pub(crate) fn segment_of_lines(&mut self, lines: &[LoggedLineId], segment: usize) {
        for id in lines {
            if let Some(line) = self.log_lines.lines.get_mut(id) {
                line.segment = Some(segment);
            }
        }
    }

    /// Lets these lines leave.
    pub fn evict_log_lines(&mut self, lines: &[LoggedLineId]) {
        const FIXED: u64 = size_of::<LoggedLine>() as u64;
        for id in lines {
            if let Some(line) = self.log_lines.lines.remove(id) {
                self.log_lines.bytes = self.log_lines.bytes.saturating_sub(line.text.len() as u64 + FIXED);
            }
        }
    }

    /// Returns `true` if segments are of use to an output.
    pub(crate) fn keeps_segments(&self) -> bool {
        let shows_lines = self.config.log_lines_max.is_some() && self.config.detail == Detail::Requests;
        shows_lines || self.config.detail == Detail::Intervals
    }
}
