//! A part of a poll that may be of one request, and what lies in it.

use crate::ids::{CallId, LoggedLineId, TaskIndex};
use crate::task::askers::{Askers, RequestLink};
use asyncscope_trace::event::TaskId;

/// Calls kept that lie in one segment.
pub(crate) const MAX_CALLS: usize = 8;
/// Lines kept that were written in one segment; others are without it.
pub(crate) const MAX_LINES: usize = 256;

/// A part of one poll of a task that serves several requests in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The task.
    pub task: TaskId,
    /// From the reply before, or the start of the poll, in nanoseconds.
    pub from_ns: u64,
    /// To its own reply, or the end of the poll.
    pub to_ns: u64,
    pub(crate) evidence: SegmentMarks,
    pub(crate) reply: Option<RequestLink>,
    pub(crate) retracted: bool,
}

/// The marks that lie in a segment. Most polls have none but the times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentMarks {
    /// The time at which it began.
    pub(crate) since_ns: u64,
    /// The time at which the task became ready before the poll, in nanoseconds.
    pub(crate) ready_ns: u64,
    http: Option<Box<HttpMarks>>,
}

/// The marks of requests and calls that lie in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HttpMarks {
    /// The calls whose head was written, or whose response was read.
    pub(crate) calls: Vec<CallId>,
    /// There were more than are kept.
    pub(crate) more_calls: bool,
    /// The lines that were written.
    pub(crate) lines: Vec<LoggedLineId>,
    /// The request by one of whose tasks this one was woken.
    pub(crate) asked: Option<RequestLink>,
    /// Those who may have asked for the next call that is written.
    pub(crate) askers: Askers,
    /// The stream's call whose head was written last, and the last task spawned since.
    pub(crate) stream: Option<(CallId, Option<TaskIndex>)>,
}

impl SegmentMarks {
    pub(crate) fn new(since_ns: u64) -> Self {
        Self { since_ns, ..Self::default() }
    }

    /// Those of a poll that begins.
    pub(crate) fn at_entry(now: u64, ready_ns: u64, asked: Option<RequestLink>, askers: Askers) -> Self {
        let some = asked.is_some() || askers != Askers::default();
        let http = some.then(|| Box::new(HttpMarks { asked, askers, ..HttpMarks::default() }));
        Self { since_ns: now, ready_ns, http }
    }

    /// Those of the segment that follows this one in the same poll, from now on.
    pub(crate) fn following(&self, now: u64) -> Self {
        let stream = self.http().and_then(|http| http.stream);
        let http = stream.map(|stream| Box::new(HttpMarks { stream: Some(stream), ..HttpMarks::default() }));
        Self { since_ns: now, ready_ns: self.ready_ns, http }
    }

    /// Returns the marks of requests and calls, if there is one.
    pub(crate) fn http(&self) -> Option<&HttpMarks> {
        self.http.as_deref()
    }

    /// Returns the marks of requests and calls, for another one.
    pub(crate) fn http_or_new(&mut self) -> &mut HttpMarks {
        self.http.get_or_insert_default()
    }

    /// Takes those who may have asked for the next call.
    pub(crate) fn take_askers(&mut self) -> Askers {
        self.http.as_mut().map(|http| std::mem::take(&mut http.askers)).unwrap_or_default()
    }

    /// Takes the lines that were written.
    pub(crate) fn take_lines(&mut self) -> Vec<LoggedLineId> {
        self.http.as_mut().map(|http| std::mem::take(&mut http.lines)).unwrap_or_default()
    }

    /// The call of the stream whose head was written last, of which `child` passes on the response; and the task
    /// that was taken for that one until now.
    pub(crate) fn passes_on(&mut self, child: TaskIndex) -> Option<(CallId, Option<TaskIndex>)> {
        let (call, before) = self.http.as_mut()?.stream.as_mut()?;
        Some((*call, before.replace(child)))
    }
}
