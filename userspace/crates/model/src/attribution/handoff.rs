//! Hand-offs: what wakes between tasks of requests and others show.

use crate::Graph;
use crate::ids::TaskIndex;
use crate::scheduling::intervals::{Did, Outcome, WakeBy};
use crate::scheduling::thread::{Frame, FrameKind};
use crate::task::owner::Owner;

impl Graph {
    /// One task woke another.
    pub(crate) fn handed_on(&mut self, tid: u32, by: WakeBy, woken: TaskIndex, did: Did) {
        let WakeBy::Task(by) = by else {
            return;
        };
        let Some(waker) = self.index_of(by).filter(|&waker| waker != woken && self.http.is_used()) else {
            return;
        };
        if did == Did::FoundComplete || self.tasks[woken].runtime {
            return;
        }
        self.replied(waker, woken);
        self.relayed(waker, woken);
        self.note_asking(tid, waker, woken);
        self.note_contact(waker, woken);
        self.end_segment(tid, waker, woken);
        if did == Did::MadeReady {
            self.note_asked(waker, woken);
        }
    }

    /// Tasks of two requests are in touch. Of a client's connection that is all that it says.
    fn note_contact(&mut self, waker: TaskIndex, woken: TaskIndex) {
        match (self.taken_for(waker), self.taken_for(woken)) {
            (Owner::Request(one), Owner::Request(other)) if one != other => {
                let clients = [waker, woken].map(|index| self.tasks[index].is_client);
                for (index, is_client) in [waker, woken].into_iter().zip(clients) {
                    self.tasks[index].had_contact |= is_client || clients == [false, false];
                }
            }
            (Owner::Request(_), Owner::None) => self.note_unseen_contact(waker, woken),
            (Owner::None, Owner::Request(_)) => self.note_unseen_contact(woken, waker),
            _ => {}
        }
    }

    /// The other task may be of a request that was not seen: a client's connection has then served that one as well.
    fn note_unseen_contact(&mut self, index: TaskIndex, other: TaskIndex) {
        let task = &self.tasks[index];
        let is_client = task.is_client || self.http.is_client_type(task.vtable);
        if is_client && self.may_be_of_unseen_request(other) {
            self.tasks[index].had_contact = true;
        }
    }

    /// A poll, or what else held the task, is over.
    pub(crate) fn held_no_more(&mut self, frame: &mut Frame, outcome: Outcome) {
        if let Some(index) = frame.task.filter(|_| frame.kind == FrameKind::Poll) {
            self.note_recent(index);
            self.keep_askers(index, frame);
        }
        self.end_last_segment(frame);
        let Some(index) =
            frame.task.filter(|&index| self.tasks.get(index).is_some_and(|task| task.http_role().is_some()))
        else {
            return;
        };
        self.accepted(index);
        self.exchange_left(index);
        self.cancel_silent(index, frame.start);
        self.relay_over(index, frame.kind == FrameKind::Poll && outcome == Outcome::Ready);
        if let Some(role) = self.tasks[index].http_role_mut() {
            role.reply = None;
        }
    }
}
