//! Hand-offs: what wakes between tasks of requests and others tell.

use super::Graph;
use super::call::Owner;
use super::poll::Outcome;
use super::thread::{Frame, FrameKind};
use super::wake::{Did, WakeBy};

impl Graph {
    /// One task woke another.
    pub(super) fn handed_on(&mut self, tid: u32, by: WakeBy, woken: usize, did: Did) {
        let WakeBy::Task(by) = by else {
            return;
        };
        let Some(waker) = self.index_of(by).filter(|&waker| waker != woken && self.web.is_used()) else {
            return;
        };
        if did == Did::FoundComplete || self.tasks[woken].runtime {
            return;
        }
        self.replied(waker, woken);
        self.relayed(waker, woken);
        self.note_asking(tid, waker, woken);
        self.note_contact(waker, woken);
        self.end_stretch(tid, waker, woken);
        if did == Did::MadeReady {
            self.note_asked(waker, woken);
        }
    }

    /// Tasks of two requests are in touch. Of a client's connection that is all that it says.
    fn note_contact(&mut self, waker: usize, woken: usize) {
        let (Owner::Request(one), Owner::Request(other)) = (self.taken_for(waker), self.taken_for(woken)) else {
            return;
        };
        if one == other {
            return;
        }
        let clients = [waker, woken].map(|index| self.tasks[index].is_client);
        for (index, is_client) in [waker, woken].into_iter().zip(clients) {
            self.tasks[index].had_contact |= is_client || clients == [false, false];
        }
    }

    /// A poll, or what else held the task, is over.
    pub(super) fn held_no_more(&mut self, frame: &mut Frame, outcome: Outcome) {
        if let Some(index) = frame.task.filter(|_| frame.kind == FrameKind::Poll) {
            self.note_recent(index);
            self.keep_askers(index, frame);
        }
        self.end_last_stretch(frame);
        let Some(index) = frame.task.filter(|&index| self.tasks.get(index).is_some_and(|task| task.duties().is_some()))
        else {
            return;
        };
        self.accepted(index);
        self.exchange_left(index);
        self.cancel_silent(index, frame.start);
        self.relay_over(index, frame.kind == FrameKind::Poll && outcome == Outcome::Ready);
        if let Some(duties) = self.tasks[index].if_duties() {
            duties.reply = None;
        }
    }
}
