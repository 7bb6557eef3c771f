//! Segments: what a task that serves several requests did for one of them.
//!
//! An actor, or a client's connection, works for one request after the other, and nothing in a poll says
//! where one ends. A wake of a task of a request does: it is the reply. But what lies before it need not be
//! for that request: messages that nobody waits for leave no trace. So a segment is claimed for a request
//! only where it
//! - ends with the reply to a task of it, and the poll began because a task of it had woken this one: the
//!   task had nothing left to do before, so the message came first; or
//! - holds the head of a call of it;
//!
//! and where each call in it is known to be of that request. If some of it says another, all are candidates. A busy task is
//! woken once for many messages, so most of its segments have a reply and nothing else: these show which
//! request was answered and claim nothing.

use crate::Graph;
use crate::http::call::Evidence;
use crate::ids::{CallId, LoggedLineId, RequestId, TaskIndex};
use crate::scheduling::thread::Frame;
use crate::task::askers::RequestLink;
use crate::task::owner::Owner;
use crate::task::segment::{MAX_CALLS, MAX_LINES, Segment, SegmentMarks};

impl Graph {
    /// The segments, as their ends were seen; empty but with [`crate::Detail::Intervals`].
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the owner of a segment; none where its task turned out to be of one request as a whole.
    #[must_use]
    pub fn owner_of_segment(&self, segment: &Segment) -> Owner {
        if segment.retracted || self.owner(segment.task) != Owner::None {
            return Owner::None;
        }
        let Some(of_calls) = self.owners_of_calls_in(segment) else {
            return Owner::None;
        };
        let asked = segment
            .evidence
            .http()
            .and_then(|http| http.asked)
            .filter(|link| self.holds(link))
            .map(|link| link.request);
        let reply = self.answered_by(segment);
        // Who alone woke it may not be the only one who asked.
        let asked = asked.filter(|_| reply.is_some() || !of_calls.is_empty());
        let known: Vec<RequestId> = asked.into_iter().chain(of_calls).collect();
        match known.is_empty() {
            true => Owner::None,
            false => Owner::of(known.into_iter().chain(reply).collect()),
        }
    }

    /// Those of whom the calls in the segment are; `None` where that is not known of each.
    fn owners_of_calls_in(&self, segment: &Segment) -> Option<Vec<RequestId>> {
        let owner = |id: &CallId| match self.owner_of_call(self.call(*id)?) {
            Owner::Request(id) => Some(vec![id]),
            Owner::Ambiguous(ids) if self.evidence_of_call(self.call(*id)?) != Some(Evidence::Wake) => Some(ids),
            Owner::Ambiguous(_) | Owner::None => None,
        };
        let (calls, more_calls) =
            segment.evidence.http().map_or((&[][..], false), |http| (&http.calls, http.more_calls));
        let owners: Option<Vec<Vec<RequestId>>> = calls.iter().map(owner).collect();
        owners.filter(|_| !more_calls).map(|owners| owners.concat())
    }

    /// The request to a task of which the segment's end was the reply.
    #[must_use]
    pub fn answered_by(&self, segment: &Segment) -> Option<RequestId> {
        let reply = segment.reply.filter(|_| !segment.retracted && self.owner(segment.task) == Owner::None);
        reply.filter(|link| self.holds(link)).map(|link| link.request)
    }

    pub(crate) fn holds(&self, link: &RequestLink) -> bool {
        !link.lives || self.owner_at(link.task).request() == Some(link.request)
    }

    /// The task's link to the one request that it works for, if it does.
    pub(crate) fn link_to(&self, index: TaskIndex) -> Option<RequestLink> {
        let request = self.doing(index).request()?;
        Some(RequestLink { request, task: index, lives: self.tasks[index].serves().is_empty() })
    }

    /// A call's head passed on this thread.
    pub(crate) fn mark_call(&mut self, tid: u32, id: CallId) {
        if let Some(frame) = self.thread(tid).frames.last_mut() {
            let marks = frame.marks.http_or_new();
            if marks.calls.len() < MAX_CALLS {
                marks.calls.push(id);
            } else {
                marks.more_calls = true;
            }
        }
    }

    /// The head of a stream's call was written on this thread.
    pub(crate) fn mark_stream(&mut self, tid: u32, id: CallId) {
        if let Some(frame) = self.thread(tid).frames.last_mut() {
            frame.marks.http_or_new().stream = Some((id, None));
        }
    }

    /// A line ended on this thread. It lies in the segment if it also began there.
    pub(crate) fn mark_log_line(&mut self, tid: u32, id: LoggedLineId) {
        let Some(line) = self.line(id).filter(|line| self.keeps_segments() && line.task.is_some()) else {
            return;
        };
        let (began_ns, by) = (line.time_ns, line.task.and_then(|task| self.index_of(task)));
        if let Some(frame) = self.thread(tid).frames.last_mut()
            && frame.task == by
            && frame.marks.since_ns <= began_ns
        {
            let lines = &mut frame.marks.http_or_new().lines;
            if lines.len() < MAX_LINES {
                lines.push(id);
            }
        }
    }

    /// A task was made ready by another: what it does next may be for that one's request.
    pub(crate) fn note_asked(&mut self, waker: TaskIndex, woken: TaskIndex) {
        if let Some(link) = self.link_to(waker) {
            self.tasks[woken].http_role_or_new().asked.get_or_insert(link);
        }
    }

    /// A task woke one of a request's: its segment ends here.
    pub(crate) fn end_segment(&mut self, tid: u32, waker: TaskIndex, woken: TaskIndex) {
        let Some(reply) = self.link_to(woken) else {
            return;
        };
        if self.doing(waker).request() == Some(reply.request) {
            return;
        }
        let (now, epoch) = (self.clock.now, self.clock.epoch);
        let innermost = self.thread(tid).frames.last_mut();
        let Some(frame) = innermost.filter(|frame| frame.task == Some(waker) && frame.epoch == epoch) else {
            return;
        };
        let rest = frame.marks.following(now);
        let evidence = std::mem::replace(&mut frame.marks, rest);
        // One that came while the task was polled already may have found a reply to the one before, whose wake is late.
        let began = frame.start;
        let was_there = self.http.request(reply.request).is_some_and(|request| request.opened_ns <= began);
        self.keep_segment(waker, evidence, now, was_there.then_some(reply));
    }

    /// The poll is over. Its rest counts where a call lies in it.
    pub(crate) fn end_last_segment(&mut self, frame: &mut Frame) {
        let evidence = std::mem::take(&mut frame.marks);
        if let Some(task) = frame.task.filter(|_| frame.epoch == self.clock.epoch && has_call(&evidence)) {
            // The end of the poll may be seen only after the task was polled elsewhere.
            self.keep_segment(task, evidence, frame.over.unwrap_or(self.clock.now), None);
        }
    }

    fn keep_segment(&mut self, task: TaskIndex, mut evidence: SegmentMarks, to_ns: u64, reply: Option<RequestLink>) {
        let by = &self.tasks[task];
        if !self.keeps_segments() || by.is_server || by.is_stream || by.runtime {
            return;
        }
        let (id, from_ns) = (by.id, evidence.since_ns);
        self.segment_of_lines(&evidence.take_lines(), self.segments.len());
        self.undo.segment_ended(self.clock.now, self.segments.len());
        self.segments.push(Segment { task: id, from_ns, to_ns, evidence, reply, retracted: false });
    }
}

fn has_call(evidence: &SegmentMarks) -> bool {
    evidence.http().is_some_and(|http| !http.calls.is_empty())
}
