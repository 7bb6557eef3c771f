//! Stretches: what a task that serves several requests did for one of them.
//!
//! An actor, or a client's connection, works for one request after the other, and nothing in a poll says
//! where one ends. A wake of a task of a request does: it is the reply. But what lies before it need not be
//! for that request: messages that nobody waits for leave no trace. So a stretch is claimed for a request
//! only where it
//! - ends with the reply to a task of it, and the poll began because a task of it had woken this one: the
//!   task had nothing left to do before, so the message came first; or
//! - holds the head of a call of it;
//!
//! and where each call in it is known to be of that request. If some of it says another, all are candidates. A busy task is
//! woken once for many messages, so most of its stretches have a reply and nothing else: these tell which
//! request was answered and claim nothing.

use super::Graph;
use super::call::{CallId, Evidence, Owner};
use super::exchange::Askers;
use super::printed::PrintedId;
use super::request::RequestId;
use super::thread::Frame;
use asyncscope_trace::event::TaskId;

/// Calls kept that lie in one stretch.
const MAX_CALLS: usize = 8;
/// Lines kept that were written in one stretch; others are told without it.
const MAX_LINES: usize = 256;

/// A part of one poll of a task that serves several requests in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The task.
    pub task: TaskId,
    /// From the reply before, or the start of the poll, in nanoseconds.
    pub from_ns: u64,
    /// To its own reply, or the end of the poll.
    pub to_ns: u64,
    evidence: Marks,
    reply: Option<Link>,
    pub(super) lost: bool,
}

/// What lies in a stretch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// When it began.
    pub(super) since_ns: u64,
    /// The calls whose head was written, or whose response was read.
    calls: Vec<CallId>,
    /// There were more than are kept.
    more_calls: bool,
    /// The lines that were written.
    lines: Vec<PrintedId>,
    /// The request by one of whose tasks this one was woken.
    asked: Option<Link>,
    /// Those who may have asked for the next call that is written.
    pub(super) askers: Askers,
    /// When the task became ready before the poll, in nanoseconds.
    pub(super) ready_ns: u64,
    /// The stream's call whose head was written last, and the last task spawned since.
    stream: Option<(CallId, Option<usize>)>,
}

/// A request, by way of one of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    request: RequestId,
    task: usize,
    /// Whether the task was spawned for it, and so may turn out not to be its.
    lives: bool,
}

impl Link {
    pub(super) fn new(request: RequestId, task: usize, lives: bool) -> Self {
        Self { request, task, lives }
    }

    pub(super) fn request(&self) -> RequestId {
        self.request
    }

    /// The task, if the link holds only as long as that is the request's.
    pub(super) fn through(&self) -> Option<usize> {
        self.lives.then_some(self.task)
    }
}

impl Marks {
    pub(super) fn new(since_ns: u64, asked: Option<Link>) -> Self {
        Self { since_ns, asked, ..Self::default() }
    }

    /// The head of a stream's call lies in the poll.
    pub(super) fn wrote_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Those of a poll that begins.
    pub(super) fn at_entry(now: u64, ready_ns: u64, asked: Option<Link>, askers: Askers) -> Self {
        Self { ready_ns, askers, ..Self::new(now, asked) }
    }

    /// The call of the stream whose head was written last, of which `child` passes on the response; and the task
    /// that was taken for that one until now.
    pub(super) fn passes_on(&mut self, child: usize) -> Option<(CallId, Option<usize>)> {
        let (call, before) = self.stream.as_mut()?;
        Some((*call, before.replace(child)))
    }
}

impl Graph {
    /// The stretches, by their ends; empty but with [`super::Detail::Intervals`].
    #[must_use]
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Whose a stretch is. None where its task turned out to be of one request as a whole.
    #[must_use]
    pub fn owner_of_stretch(&self, stretch: &Stretch) -> Owner {
        if stretch.lost || self.owner(stretch.task) != Owner::None {
            return Owner::None;
        }
        let Some(of_calls) = self.owners_of_calls_in(stretch) else {
            return Owner::None;
        };
        let asked = stretch.evidence.asked.filter(|link| self.holds(link)).map(|link| link.request);
        let reply = self.answered_by(stretch);
        // Who alone woke it may not be the only one who asked.
        let asked = asked.filter(|_| reply.is_some() || !of_calls.is_empty());
        let known: Vec<RequestId> = asked.into_iter().chain(of_calls).collect();
        match known.is_empty() {
            true => Owner::None,
            false => Owner::of(known.into_iter().chain(reply).collect()),
        }
    }

    /// Those of whom the calls in the stretch are; `None` where that is not known of each.
    fn owners_of_calls_in(&self, stretch: &Stretch) -> Option<Vec<RequestId>> {
        let owner = |id: &CallId| match self.owner_of_call(self.call(*id)?) {
            Owner::Request(id) => Some(vec![id]),
            Owner::Ambiguous(ids) if self.evidence_of_call(self.call(*id)?) != Some(Evidence::Wake) => Some(ids),
            Owner::Ambiguous(_) | Owner::None => None,
        };
        let owners: Option<Vec<Vec<RequestId>>> = stretch.evidence.calls.iter().map(owner).collect();
        owners.filter(|_| !stretch.evidence.more_calls).map(|owners| owners.concat())
    }

    /// The request to a task of which the stretch's end was the reply.
    #[must_use]
    pub fn answered_by(&self, stretch: &Stretch) -> Option<RequestId> {
        let reply = stretch.reply.filter(|_| !stretch.lost && self.owner(stretch.task) == Owner::None);
        reply.filter(|link| self.holds(link)).map(|link| link.request)
    }

    pub(super) fn holds(&self, link: &Link) -> bool {
        !link.lives || self.owner_at(link.task).request() == Some(link.request)
    }

    /// The task's link to the one request that it works for, if it does.
    pub(super) fn link_to(&self, index: usize) -> Option<Link> {
        let request = self.doing(index).request()?;
        Some(Link { request, task: index, lives: self.tasks[index].serves().is_empty() })
    }

    /// A call's head passed on this thread.
    pub(super) fn mark_call(&mut self, tid: u32, id: CallId) {
        if let Some(frame) = self.thread(tid).frames.last_mut() {
            let marks = &mut frame.marks;
            if marks.calls.len() < MAX_CALLS {
                marks.calls.push(id);
            } else {
                marks.more_calls = true;
            }
        }
    }

    /// The head of a stream's call was written on this thread.
    pub(super) fn mark_stream(&mut self, tid: u32, id: CallId) {
        if let Some(frame) = self.thread(tid).frames.last_mut() {
            frame.marks.stream = Some((id, None));
        }
    }

    /// A line ended on this thread. It lies in the stretch if it also began there.
    pub(super) fn mark_print(&mut self, tid: u32, id: PrintedId) {
        let Some(line) = self.line(id).filter(|line| self.keeps_stretches() && line.task.is_some()) else {
            return;
        };
        let (began_ns, by) = (line.time_ns, line.task.and_then(|task| self.index_of(task)));
        if let Some(frame) = self.thread(tid).frames.last_mut()
            && frame.marks.lines.len() < MAX_LINES
            && frame.task == by
            && frame.marks.since_ns <= began_ns
        {
            frame.marks.lines.push(id);
        }
    }

    /// A task was made ready by another: what it does next may be for that one's request.
    pub(super) fn note_asked(&mut self, waker: usize, woken: usize) {
        if let Some(link) = self.link_to(waker) {
            self.tasks[woken].duties_mut().asked.get_or_insert(link);
        }
    }

    /// A task woke one of a request's: its stretch ends here.
    pub(super) fn end_stretch(&mut self, tid: u32, waker: usize, woken: usize) {
        let Some(reply) = self.link_to(woken) else {
            return;
        };
        if self.doing(waker).request() == Some(reply.request) {
            return;
        }
        let (now, epoch) = (self.now, self.epoch);
        let innermost = self.thread(tid).frames.last_mut();
        let Some(frame) = innermost.filter(|frame| frame.task == Some(waker) && frame.epoch == epoch) else {
            return;
        };
        let rest = Marks { ready_ns: frame.marks.ready_ns, stream: frame.marks.stream, ..Marks::new(now, None) };
        let evidence = std::mem::replace(&mut frame.marks, rest);
        self.keep_stretch(waker, evidence, Some(reply));
    }

    /// The poll is over. Its rest counts where a call lies in it.
    pub(super) fn end_last_stretch(&mut self, frame: &mut Frame) {
        let evidence = std::mem::take(&mut frame.marks);
        if let Some(task) = frame.task.filter(|_| frame.epoch == self.epoch && !evidence.calls.is_empty()) {
            self.keep_stretch(task, evidence, None);
        }
    }

    fn keep_stretch(&mut self, task: usize, mut evidence: Marks, reply: Option<Link>) {
        let by = &self.tasks[task];
        if !self.keeps_stretches() || by.is_server || by.is_stream || by.runtime {
            return;
        }
        let (id, from_ns, to_ns) = (by.id, evidence.since_ns, self.now);
        self.stretch_of_lines(&std::mem::take(&mut evidence.lines), self.stretches.len());
        self.fresh.stretches.push((self.now, self.stretches.len()));
        self.stretches.push(Stretch { task: id, from_ns, to_ns, evidence, reply, lost: false });
    }
}
