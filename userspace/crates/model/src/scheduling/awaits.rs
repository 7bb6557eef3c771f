//! What tasks awaited, and for how long.
//!
//! What a task awaited is reported when its next poll begins, and right after that poll's start. So a wait belongs
//! to the chain that is reported next for the task; where none is, it stays unknown what was awaited.

use crate::Graph;
use crate::http::request::Request;
use crate::ids::TaskIndex;
use crate::task::Task;
use crate::task::waits::{AwaitChain, Awaited, Waited};
use asyncscope_trace::event::{ChainFrame, TaskRef};

impl Graph {
    /// Returns the chain with this hash, if its frames are known.
    #[must_use]
    pub fn chain(&self, chain: u64) -> Option<&AwaitChain> {
        self.scheduler.chains.get(&chain)
    }

    /// Returns `true` if any chain is known.
    #[must_use]
    pub fn knows_chains(&self) -> bool {
        !self.scheduler.chains.is_empty()
    }

    pub(crate) fn frames(&mut self, chain: u64, partial: bool, frames: &[ChainFrame]) {
        self.scheduler.chains.entry(chain).or_insert_with(|| AwaitChain { frames: frames.to_vec(), partial });
    }

    /// Takes what the task awaited until the poll that it is in, or awaits if it is in none.
    pub(crate) fn awaited(&mut self, task: &TaskRef, chain: u64) {
        let now = self.clock.now;
        let index = task.id.and_then(|id| self.index_of(id));
        if let Some(frame) = index.and_then(|index| self.frame_holding(index)) {
            frame.awaited = Some(chain);
        }
        let Some(task) = index.and_then(|index| self.tasks.get_mut(index)) else { return };
        task.charge(now);
        let open = !task.is_running();
        let wait = std::mem::take(&mut task.wait);
        let ns = wait.ns;
        let all = &mut task.rare_mut().waited;
        match all.iter_mut().find(|waited| waited.chain == chain) {
            Some(waited) => (waited.ns, waited.times) = (waited.ns.saturating_add(ns), waited.times + 1),
            None => all.push(Waited { chain, ns, times: 1 }),
        }
        let (start_ns, end_ns) = (wait.until_ns.saturating_sub(ns), wait.until_ns);
        let awaited = Awaited { chain, start_ns, end_ns, ready_ns: wait.ready_ns, open };
        if let Some(index) = index.filter(|_| self.is_long(start_ns, end_ns)) {
            self.note_await(index, awaited);
        }
    }

    /// Notes a wait: of the request that the task serves over HTTP/1, if it serves that one alone; else of the
    /// task. One in which events are missing may have been several.
    fn note_await(&mut self, index: TaskIndex, awaited: Awaited) {
        if self.gaps.last().is_some_and(|gap| gap.until_ns >= awaited.start_ns) {
            return;
        }
        let serves = match self.tasks.get(index).map(Task::serves) {
            Some([id]) => self.http.request_mut(*id),
            _ => None,
        };
        let begun = |request: &&mut Request| request.substream == 0 && request.opened_ns <= awaited.start_ns;
        if let Some(request) = serves.filter(begun) {
            request.awaits.add(awaited);
        } else if let Some(history) = self.tasks.get_mut(index).and_then(|task| task.history.as_mut()) {
            history.awaits.add(awaited);
        }
    }
}
