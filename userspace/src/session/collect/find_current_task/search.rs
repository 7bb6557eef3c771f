//! Looks at threads' memory, and what was polled at those moments.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use probe_common::record::state::{CANCELLED, COMPLETE, RUNNING};

use asyncscope_trace::{
    event::{Event, State, TaskRef, What},
    facts::CurrentTask,
};

/// This many looks have to agree, at polls of this many tasks.
const LOOKS: u32 = 64;
const TASKS: usize = 8;
/// Of this many hundred looks.
const AGREE: u32 = 75;
/// After this many without a place that stands out there is none to be found.
const LOOKS_MAX: u32 = 8192;
/// Looks kept for one thread until events show what they saw, and polls inside one another.
const KEPT_MAX: usize = 4096;
const NESTED_MAX: usize = 64;

/// The contents of a thread's memory at some moment between two times.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) words: Vec<u64>,
}

/// A poll that goes on.
#[derive(Clone, Copy, Debug)]
struct OpenPoll {
    header: u64,
    id: Option<u64>,
    sp: u64,
    /// Since when nothing else is polled inside of it.
    since: u64,
}

#[derive(Debug, Default)]
struct WatchedThread {
    looks: VecDeque<Look>,
    /// Innermost last.
    polls: Vec<OpenPoll>,
}

/// The number of times that each word was the id of the task polled.
#[derive(Debug, Default)]
pub(super) struct TlsSearch {
    threads: BTreeMap<u32, WatchedThread>,
    agree: Vec<u32>,
    looks: u32,
    tasks: BTreeSet<u64>,
}

impl TlsSearch {
    pub(super) fn looked(&mut self, tid: u32, look: Look) {
        let looks = &mut self.threads.entry(tid).or_default().looks;
        if looks.len() < KEPT_MAX {
            looks.push_back(look);
        }
    }

    /// Takes the next event in time order.
    pub(super) fn event(&mut self, event: &Event) {
        let (tid, time, sp) = (event.at.tid, event.at.time, event.at.sp);
        match &event.what {
            What::PollStart { task, state } => self.start(tid, time, sp, task, *state),
            What::PollEnd { task, .. } => self.end(tid, time, task),
            What::Gap { .. } => self.threads.clear(),
            _ => {}
        }
    }

    fn start(&mut self, tid: u32, time: u64, sp: u64, task: &TaskRef, state: State) {
        self.judge(tid, time);
        let polls = &mut self.threads.entry(tid).or_default().polls;
        // The stack grows down: what lies below has returned.
        while polls.pop_if(|poll| poll.sp <= sp).is_some() {}
        let is_poll = !state.has(RUNNING) && !state.has(COMPLETE) && !state.has(CANCELLED);
        if is_poll && polls.len() < NESTED_MAX {
            polls.push(OpenPoll { header: task.header, id: task.id.map(|id| id.0), sp, since: time });
        }
    }

    fn end(&mut self, tid: u32, time: u64, task: &TaskRef) {
        self.judge(tid, time);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if thread.polls.pop_if(|poll| poll.header == task.header).is_none() {
            thread.polls.clear();
        }
        if let Some(around) = thread.polls.last_mut() {
            around.since = time;
        }
    }

    /// Judges the looks at a thread whose innermost poll went on up to `now`.
    fn judge(&mut self, tid: u32, now: u64) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let polled = thread.polls.last().and_then(|poll| Some((poll.since, poll.id?)));
        while let Some(look) = thread.looks.pop_front_if(|look| look.until < now) {
            if let Some((_, id)) = polled.filter(|&(since, _)| since < look.from) {
                self.agree.resize(look.words.len(), 0);
                self.agree.iter_mut().zip(&look.words).for_each(|(agree, word)| *agree += u32::from(*word == id));
                self.looks += 1;
                self.tasks.insert(id);
            }
        }
    }

    /// The one place that has the id nearly always.
    pub(super) fn found(&self) -> Option<CurrentTask> {
        if self.looks < LOOKS || self.tasks.len() < TASKS {
            return None;
        }
        let nearly = |&(_, agree): &(usize, &u32)| u64::from(*agree) * 100 >= u64::from(self.looks * AGREE);
        let mut places = self.agree.iter().enumerate().filter(nearly);
        let (at, &agree) = places.next()?;
        let below = u32::try_from((self.agree.len() - at) * 8).ok()?;
        let tasks = u32::try_from(self.tasks.len()).ok()?;
        places.next().is_none().then_some(CurrentTask { below, looks: self.looks, agree, tasks })
    }

    pub(super) fn is_hopeless(&self) -> bool {
        self.looks >= LOOKS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asyncscope_trace::event::{At, TaskId};

    /// A poll of the task from one time to another, and a look in between, at three words.
    fn poll(search: &mut TlsSearch, id: u64, from: u64, words: [u64; 3]) {
        let task = TaskRef { header: id * 0x100, id: Some(TaskId(id)), vtable: 1 };
        let at = |time, sp| At { time, tid: 1, sp, ..At::default() };
        search.looked(1, Look { from: from + 2, until: from + 3, words: words.to_vec() });
        search.event(&Event { at: at(from, 90), what: What::PollStart { task, state: State(0) } });
        search.event(&Event { at: at(from + 9, 80), what: What::PollEnd { task, old: State(RUNNING), new: State(0) } });
    }

    fn search(words: impl Fn(u64) -> [u64; 3]) -> TlsSearch {
        let mut search = TlsSearch::default();
        (1..=100).for_each(|id| poll(&mut search, id, id * 10, words(id)));
        search
    }

    #[test]
    fn finds_the_word_that_is_the_polled_tasks_id() {
        let found =
            |search: TlsSearch| search.found().map(|found| (found.below, found.looks, found.agree, found.tasks));
        assert_eq!(found(search(|id| [5, id, 0])), Some((16, 100, 100, 100)));
        assert_eq!(found(search(|id| [id, 7, if id % 2 == 0 { id } else { 0 }])), Some((24, 100, 100, 100)));
        assert_eq!(found(search(|id| [5, if id % 20 == 0 { 0 } else { id }, 0])), Some((16, 100, 95, 100)));
        assert_eq!(found(search(|id| [5, if id % 3 == 0 { 0 } else { id }, 0])), None);
        assert_eq!(found(search(|id| [id, id, 0])), None); // which of the two?
        assert_eq!(found(search(|_| [5, 6, 7])), None);
    }

    #[test]
    fn one_task_proves_nothing() {
        let mut search = TlsSearch::default();
        (1..=100).for_each(|n| poll(&mut search, 7, n * 10, [7, 0, 0]));
        assert!(search.found().is_none());
    }

    #[test]
    fn only_the_innermost_poll_counts() {
        let task = |id: u64| TaskRef { header: id, id: Some(TaskId(id)), vtable: 1 };
        let event = |time, sp, what| Event { at: At { time, tid: 1, sp, ..At::default() }, what };
        let start = |time, sp, id| event(time, sp, What::PollStart { task: task(id), state: State(0) });
        let end = |time, sp, id| event(time, sp, What::PollEnd { task: task(id), old: State(RUNNING), new: State(0) });
        let check = |events: &[Event], judged: u32| {
            let mut search = TlsSearch::default();
            search.looked(1, Look { from: 50, until: 51, words: vec![9] });
            events.iter().for_each(|event| search.event(event));
            assert_eq!((search.looks, search.agree.first().copied().unwrap_or(0)), (judged, judged), "{events:?}");
        };
        check(&[start(10, 90, 9), end(60, 80, 9)], 1);
        check(&[start(10, 90, 8), start(20, 70, 9), end(60, 60, 9), end(70, 80, 8)], 1);
        check(&[start(10, 90, 9), start(20, 70, 8), end(30, 60, 8), end(70, 80, 9)], 1);
        check(&[start(52, 90, 9), end(60, 80, 9)], 0); // not polled yet
        check(&[start(10, 90, 9), end(40, 80, 9), start(60, 90, 9)], 0); // no longer
        check(&[start(10, 90, 8), start(20, 90, 9), end(60, 80, 9)], 1); // the first was left unseen
        check(&[start(10, 90, 9), event(55, 0, What::Gap { since: 10, lost: 1 }), end(60, 80, 9)], 0);
    }
}
