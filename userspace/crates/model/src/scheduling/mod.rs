//! Threads, and what runs on them: polls, wakes, spawns.
//!
//! [`Scheduler`] knows the threads and keeps what happened on them one by one. What a poll or a wake means for tasks,
//! requests and their owners is the graph's to work out: `poll`, `wake`, `spawn` and `frames` are parts of it.

pub(crate) mod awaits;
pub(crate) mod completion;
pub(crate) mod frames;
pub(crate) mod intervals;
pub(crate) mod long_polls;
pub(crate) mod off_cpu;
pub(crate) mod poll;
pub(crate) mod spawn;
pub(crate) mod thread;
pub(crate) mod wake;

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use crate::config::Config;
use crate::scheduling::intervals::{Poll, Wake};
use crate::scheduling::long_polls::LongPolls;
use crate::scheduling::thread::{Actor, Frame, Thread};
use crate::task::lifecycle::Why;
use crate::task::waits::AwaitChain;

/// The threads of the target, and what happened on them.
#[derive(Debug)]
pub(crate) struct Scheduler {
    threads: HashMap<u32, Thread>,
    names: BTreeMap<u32, String>,
    /// Threads that may have been inside a poll when they were first heard of; `None`: none was.
    before: Option<HashSet<u32>>,
    /// By the time they were known to be over; empty with [`crate::Detail::Totals`].
    pub(crate) polls: Vec<Poll>,
    /// By time; empty with [`crate::Detail::Totals`].
    pub(crate) wakes: Vec<Wake>,
    pub(crate) long_polls: LongPolls,
    /// The frames of await chains, by the hash of each.
    pub(crate) chains: BTreeMap<u64, AwaitChain>,
}

impl Scheduler {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            threads: HashMap::new(),
            names: BTreeMap::new(),
            before: (!config.from_first_instruction).then(|| config.threads.clone()),
            polls: Vec::new(),
            wakes: Vec::new(),
            long_polls: LongPolls::new(config.long_polls_ns),
            chains: BTreeMap::new(),
        }
    }

    /// Returns the thread, which is known from now on.
    #[inline]
    pub(crate) fn thread(&mut self, tid: u32) -> &mut Thread {
        let Self { threads, before, .. } = self;
        threads.entry(tid).or_insert_with(|| Thread::new(is_certain(before.as_ref(), tid)))
    }

    /// Returns the thread, if it is known.
    #[inline]
    pub(crate) fn known(&self, tid: u32) -> Option<&Thread> {
        self.threads.get(&tid)
    }

    /// Returns the thread, if it is known.
    #[inline]
    pub(crate) fn known_mut(&mut self, tid: u32) -> Option<&mut Thread> {
        self.threads.get_mut(&tid)
    }

    /// Iterates over the known threads, in no order.
    pub(crate) fn threads(&self) -> impl Iterator<Item = &Thread> {
        self.threads.values()
    }

    /// Returns the ids of the known threads in ascending order.
    pub(crate) fn tids(&self) -> Vec<u32> {
        let mut tids: Vec<u32> = self.threads.keys().copied().collect();
        tids.sort_unstable();
        tids
    }

    /// Takes the newest name of a thread.
    pub(crate) fn name(&mut self, tid: u32, name: &str) {
        self.names.insert(tid, name.to_owned());
    }

    /// Returns the newest name of a thread.
    pub(crate) fn name_of(&self, tid: u32) -> Option<&str> {
        self.names.get(&tid).map(String::as_str)
    }

    /// Returns the innermost frame of a thread.
    #[inline]
    pub(crate) fn innermost(&self, tid: u32) -> Option<&Frame> {
        self.threads.get(&tid)?.frames.last()
    }

    /// Takes a thread's innermost frame, if it lies in at least this many others.
    #[inline]
    pub(crate) fn pop_frame(&mut self, tid: u32, keep: usize) -> Option<Frame> {
        let frames = &mut self.thread(tid).frames;
        if frames.len() > keep { frames.pop() } else { None }
    }

    /// Returns who acts on a thread in this epoch.
    pub(crate) fn actor(&self, tid: u32, epoch: u64) -> Actor {
        match self.innermost(tid) {
            Some(frame) if frame.epoch != epoch => Actor::Unknown(Why::Gap),
            Some(frame) if frame.runtime => Actor::Worker,
            Some(frame) => frame.task.map_or(Actor::Unknown(Why::Unseen), Actor::Task),
            None => self.base_actor(tid, epoch),
        }
    }

    /// Returns who acts on a thread that has no frame.
    fn base_actor(&self, tid: u32, epoch: u64) -> Actor {
        let doubt = match self.threads.get(&tid) {
            Some(thread) => thread.doubt(epoch),
            None if !is_certain(self.before.as_ref(), tid) => Some(Why::BeforeAttach),
            None => (epoch > 0).then_some(Why::Gap),
        };
        doubt.map_or(Actor::Thread, Actor::Unknown)
    }
}

/// A thread first heard of now was outside of every poll when it was armed or born.
fn is_certain(before: Option<&HashSet<u32>>, tid: u32) -> bool {
    before.is_none_or(|before| !before.contains(&tid))
}
