//! One task: its lineage, its counts, and its time by phase.

pub(crate) mod ancestry;
pub(crate) mod askers;
pub(crate) mod history;
pub(crate) mod http_role;
pub(crate) mod id_index;
pub(crate) mod index_set;
pub(crate) mod lifecycle;
pub(crate) mod owner;
pub(crate) mod segment;
pub(crate) mod table;
pub(crate) mod waits;

use crate::task::history::History;
use crate::task::http_role::HttpRole;
use crate::task::lifecycle::{Birth, End, How, Parent, Phase, Times, Unended, Wait, Why};
use crate::task::owner::Inherited;
use crate::task::waits::Waited;
use asyncscope_trace::event::TaskId;
use asyncscope_trace::facts::TaskKind;

/// A tokio task. There may be millions of them: what few have is in a box of its own, and what follows from other
/// fields has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// tokio's id.
    pub id: TaskId,
    /// Its type's key.
    pub vtable: u64,
    /// The time at which it was first seen, in nanoseconds; its birth if that was seen.
    pub first_seen_ns: u64,
    /// Polls whose start was seen.
    pub polls: u64,
    /// Uses of its wakers, whatever they did.
    pub wakes: u64,
    /// Its history, where that is wanted.
    pub history: Option<Box<History>>,
    pub(crate) rare: Option<Box<Rare>>,
    /// The owner that its spawn gives it.
    pub(crate) inherited: Inherited,
    /// While it is polled, the last wait; else the wait since the last poll ended. Without the part of which it
    /// is known what was awaited.
    pub(crate) wait: Wait,
    running_ns: u64,
    ready_ns: u64,
    waiting_ns: u64,
    polls_ns: u64,
    longest_poll_ns: u64,
    /// Up to when its times are right: its end, if that was seen.
    charged_to: u64,
    /// The parent's id or the thread, as `parent_is` says.
    parent: u64,
    born_on: u32,
    on: u32,
    owed_wake_in: u32,
    parent_is: ParentIs,
    /// `true` if its spawn was seen: on `born_on`.
    is_born: bool,
    /// `true` if a thread's frame holds the task RUNNING, as far as known: `on`.
    is_on: bool,
    /// `true` if a wake is owed: in the epoch `owed_wake_in`.
    is_owed_wake: bool,
    /// The way in which it ended, if that was seen.
    how: Option<How>,
    pub(crate) phase: Phase,
    /// The kind of scheduler that runs it.
    pub kind: TaskKind,
    /// `true` if it is the runtime's own: a worker.
    pub runtime: bool,
    /// `true` if it read the head of a request.
    pub(crate) is_server: bool,
    /// `true` if it wrote the head of a call while it served no request.
    pub(crate) is_client: bool,
    /// `true` if it was spawned to serve one HTTP/2 stream.
    pub(crate) is_stream: bool,
    /// `true` if it woke a task of another request, or was woken by one.
    pub(crate) had_contact: bool,
}

// A million live tasks are to take less than 200 MB, their index included.
const _: () = assert!(size_of::<Option<Task>>() <= 176);

/// Facts of which most tasks have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rare {
    /// The time at which its spawn was reported, if that was later than it was first seen.
    born_ns: Option<u64>,
    off_cpu_ns: u64,
    trap_ns: u64,
    nested_ns: u64,
    polls_unended: u64,
    pub(crate) aborts: u64,
    pub(crate) waited: Vec<Waited>,
    /// The last poll, if its end was not seen.
    unended: Option<Unended>,
    /// `true` if it was seen to serve several connections, or streams, at a time.
    pub(crate) is_shared: bool,
    pub(crate) http_role: Option<Box<HttpRole>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ParentIs {
    Task,
    Root,
    Unknown(Why),
}

impl Task {
    pub(crate) fn new(id: TaskId, vtable: u64, phase: Phase, parent: Parent, now: u64) -> Self {
        let mut task = Self {
            id,
            vtable,
            first_seen_ns: now,
            polls: 0,
            wakes: 0,
            history: None,
            rare: None,
            inherited: Inherited::Nobody,
            wait: Wait::default(),
            running_ns: 0,
            ready_ns: 0,
            waiting_ns: 0,
            polls_ns: 0,
            longest_poll_ns: 0,
            charged_to: now,
            parent: 0,
            born_on: 0,
            on: 0,
            owed_wake_in: 0,
            parent_is: ParentIs::Root,
            is_born: false,
            is_on: false,
            is_owed_wake: false,
            how: None,
            phase,
            kind: TaskKind::Unknown,
            runtime: false,
            is_server: false,
            is_client: false,
            is_stream: false,
            had_contact: false,
        };
        task.set_parent(parent);
        task
    }

    /// Returns who spawned it.
    #[must_use]
    pub fn parent(&self) -> Parent {
        match self.parent_is {
            ParentIs::Task => Parent::Task(TaskId(self.parent)),
            ParentIs::Root => Parent::Root(self.parent as u32),
            ParentIs::Unknown(why) => Parent::Unknown(why),
        }
    }

    pub(crate) fn set_parent(&mut self, parent: Parent) {
        (self.parent_is, self.parent) = match parent {
            Parent::Task(id) => (ParentIs::Task, id.0),
            Parent::Root(tid) => (ParentIs::Root, tid.into()),
            Parent::Unknown(why) => (ParentIs::Unknown(why), 0),
        };
    }

    /// Its spawn, if that was seen.
    #[must_use]
    pub fn born(&self) -> Option<Birth> {
        let reported_ns = self.rare.as_ref().and_then(|rare| rare.born_ns);
        let birth = Birth { time_ns: reported_ns.unwrap_or(self.first_seen_ns), thread: self.born_on };
        self.is_born.then_some(birth)
    }

    pub(crate) fn set_born(&mut self, birth: Birth) {
        (self.is_born, self.born_on) = (true, birth.thread);
        if birth.time_ns != self.first_seen_ns {
            self.rare_mut().born_ns = Some(birth.time_ns);
        }
    }

    /// Its end, if that was seen.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.how.map(|how| End { time_ns: self.charged_to, how })
    }

    /// Returns `true` if its end was seen.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.how.is_some()
    }

    /// Polls whose start was seen, and whose end was not.
    #[must_use]
    pub fn polls_unended(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.polls_unended)
    }

    /// Requests to cancel it.
    #[must_use]
    pub fn aborts(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.aborts)
    }

    /// Returns what it awaited, and for how long.
    #[must_use]
    pub fn waited(&self) -> &[Waited] {
        self.rare.as_ref().map_or(&[], |rare| &rare.waited)
    }

    /// Returns where its time went.
    #[must_use]
    pub fn times(&self) -> Times {
        let rare = self.rare.as_ref();
        let of = |ns: fn(&Rare) -> u64| rare.map_or(0, |rare| ns(rare));
        Times {
            running_ns: self.running_ns,
            off_cpu_ns: of(|rare| rare.off_cpu_ns),
            trap_ns: of(|rare| rare.trap_ns),
            ready_ns: self.ready_ns,
            waiting_ns: self.waiting_ns,
            nested_ns: of(|rare| rare.nested_ns),
            polls_ns: self.polls_ns,
            longest_poll_ns: self.longest_poll_ns,
        }
    }

    /// Returns `true` if it was seen to serve several connections, or streams, at a time.
    pub(crate) fn is_shared(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.is_shared)
    }

    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Returns what it was doing last, and since when, in nanoseconds.
    #[must_use]
    pub fn phase(&self) -> (Phase, u64) {
        (self.phase, self.charged_to)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// The thread whose frame holds the task RUNNING, as far as known.
    pub(crate) fn on(&self) -> Option<u32> {
        self.is_on.then_some(self.on)
    }

    /// Says on which thread it is RUNNING; returns on which it was.
    pub(crate) fn set_on(&mut self, tid: Option<u32>) -> Option<u32> {
        let before = self.on();
        (self.is_on, self.on) = (tid.is_some(), tid.unwrap_or(0));
        before
    }

    /// A poll started in this epoch though the wake before it was not seen: it may yet come. `None`: nothing is
    /// owed.
    pub(crate) fn owe_wake(&mut self, epoch: Option<u64>) {
        // Half of an epoch is enough: a task is polled, which settles the debt, before there were so many gaps.
        (self.is_owed_wake, self.owed_wake_in) = (epoch.is_some(), epoch.unwrap_or(0) as u32);
    }

    /// Settles the debt; says whether there was one, in this epoch.
    pub(crate) fn settle_owed_wake(&mut self, epoch: u64) -> bool {
        std::mem::take(&mut self.is_owed_wake) && self.owed_wake_in == epoch as u32
    }

    /// Adds the time since the last charge to the current phase. An ended task has none.
    pub(crate) fn charge(&mut self, now: u64) {
        if self.has_ended() {
            return;
        }
        let since = now.saturating_sub(self.charged_to);
        self.charged_to = now;
        match self.phase {
            Phase::Running => self.running_ns += since,
            Phase::Ready => self.ready_ns += since,
            Phase::Waiting => self.waiting_ns += since,
        }
        if self.phase != Phase::Running {
            self.wait.ns += since;
            self.wait.until_ns = now;
        }
        if self.phase == Phase::Ready {
            self.wait.ready_ns += since;
        }
    }

    /// Charges a running task, and the time from `since` on as off the CPU, in a trap of asyncscope's or not; returns
    /// that time in nanoseconds. What was charged before stays: somebody may have counted on it.
    pub(crate) fn block(&mut self, since: u64, now: u64, in_trap: bool) -> u64 {
        if self.has_ended() {
            return 0;
        }
        let since = since.max(self.charged_to).min(now);
        self.charge(since);
        self.charged_to = now;
        let (ns, rare) = (now - since, self.rare_mut());
        rare.off_cpu_ns += ns;
        rare.trap_ns += if in_trap { ns } else { 0 };
        ns
    }

    /// Adds a poll that took so long, if its end was seen.
    pub(crate) fn add_poll(&mut self, took: Option<u64>) {
        match took {
            Some(took) => {
                self.polls_ns += took;
                self.longest_poll_ns = self.longest_poll_ns.max(took);
            }
            None => self.rare_mut().polls_unended += 1,
        }
    }

    /// Notes that the end of its last poll was not seen.
    pub(crate) fn set_unended(&mut self, unended: Unended) {
        self.rare_mut().unended = Some(unended);
    }

    /// Its last poll, if its end was not seen: it is asked for once, and not after the next poll began.
    pub(crate) fn take_unended(&mut self) -> Option<Unended> {
        self.rare.as_mut()?.unended.take()
    }

    /// That poll was none.
    pub(crate) fn refuse_poll(&mut self) {
        self.polls -= 1;
        self.rare_mut().polls_unended -= 1;
    }

    /// Adds time of its polls in which the thread was inside another frame.
    pub(crate) fn add_nested(&mut self, ns: u64) {
        if ns > 0 {
            self.rare_mut().nested_ns += ns;
        }
    }

    /// Since when it has been ready, if it is.
    pub(crate) fn ready_since(&self) -> Option<u64> {
        (self.phase == Phase::Ready && !self.has_ended()).then_some(self.charged_to)
    }

    pub(crate) fn enter(&mut self, phase: Phase, now: u64) {
        self.charge(now);
        if self.phase == Phase::Running {
            self.wait = Wait::default();
        }
        self.phase = phase;
    }

    /// Ends the task. The first end stands, but one that says how replaces one that does not: a
    /// task can be found complete before the thread that completed it has reported so.
    pub(crate) fn finish(&mut self, how: How, now: u64) {
        self.charge(now);
        if self.how.is_none_or(|how| how == How::Unknown) {
            self.how = Some(how);
        }
    }
}
