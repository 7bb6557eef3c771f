//! What tasks awaited, and for how long.
//!
//! What a task awaited is told when its next poll begins, and right after that poll's start. So a wait belongs
//! to the chain that is told next for the task; where none is told, it stays unknown what was awaited.

use super::Graph;
use super::request::Request;
use asyncscope_trace::event::{ChainFrame, TaskRef};

/// Waits kept of one task, or of one request.
pub const MAX_AWAITS: usize = 64;

/// The frames of an await chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The frames, each before those inside it.
    pub frames: Vec<ChainFrame>,
    /// Whether it goes on in a way that was not followed.
    pub partial: bool,
}

/// How long a task waited at one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The chain, in [`Graph::chain`].
    pub chain: u64,
    /// Ready and waiting, in nanoseconds.
    pub ns: u64,
    /// How many waits.
    pub times: u64,
}

/// One wait that was long, and at which chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The chain, in [`Graph::chain`].
    pub chain: u64,
    /// The end of the poll before it, in nanoseconds.
    pub start_ns: u64,
    /// The start of the poll after it; where it goes on, when it was last seen to.
    pub end_ns: u64,
    /// The part of it, at its end, in which the task was ready to be polled.
    pub ready_ns: u64,
    /// Whether it goes on.
    pub open: bool,
}

/// Waits that were long, by time, and how many more there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaits {
    /// The first of them.
    pub kept: Vec<Awaited>,
    /// How many more.
    pub more: u64,
}

impl Awaits {
    fn add(&mut self, awaited: Awaited) {
        if self.kept.len() < MAX_AWAITS {
            self.kept.push(awaited);
        } else {
            self.more += 1;
        }
    }
}

impl Chain {
    /// The places of the frames from the first one on inwards, up to where it goes on in several ways, or ends.
    #[must_use]
    pub fn trunk(&self) -> Vec<usize> {
        let mut trunk = Vec::new();
        let depth = |place: usize| self.frames.get(place).map(|frame| frame.depth);
        while let Some(own) = depth(trunk.len()) {
            let inside = (trunk.len() + 1..).map_while(depth).take_while(|inner| *inner > own);
            let first = self.frames.get(trunk.len() + 1).map(|frame| frame.depth);
            let branches = inside.filter(|inner| Some(*inner) == first).count();
            trunk.push(trunk.len());
            if branches != 1 {
                break;
            }
        }
        trunk
    }

    /// The ways from the first frame to each leaf.
    #[must_use]
    pub fn ways(&self) -> Vec<Vec<u32>> {
        let (mut ways, mut way) = (Vec::new(), Vec::new());
        for (at, frame) in self.frames.iter().enumerate() {
            way.truncate(frame.depth.into());
            way.push(frame.frame);
            if self.frames.get(at + 1).is_none_or(|next| next.depth <= frame.depth) {
                ways.push(way.clone());
            }
        }
        ways
    }
}

impl Graph {
    /// The chain with this hash, if its frames were told.
    #[must_use]
    pub fn chain(&self, chain: u64) -> Option<&Chain> {
        self.chains.get(&chain)
    }

    /// Whether any chain was told.
    #[must_use]
    pub fn knows_chains(&self) -> bool {
        !self.chains.is_empty()
    }

    pub(super) fn frames(&mut self, chain: u64, partial: bool, frames: &[ChainFrame]) {
        self.chains.entry(chain).or_insert_with(|| Chain { frames: frames.to_vec(), partial });
    }

    /// What the task awaited until the poll that it is in, or awaits if it is in none.
    pub(super) fn awaited(&mut self, task: &TaskRef, chain: u64) {
        let now = self.now;
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
    fn note_await(&mut self, index: usize, awaited: Awaited) {
        if self.gaps.last().is_some_and(|gap| gap.until_ns >= awaited.start_ns) {
            return;
        }
        let serves = match self.tasks.get(index).map(|task| task.serves()) {
            Some([id]) => self.web.requests.get_mut(id),
            _ => None,
        };
        let begun = |request: &&mut Request| request.substream == 0 && request.opened_ns <= awaited.start_ns;
        if let Some(request) = serves.filter(begun) {
            request.awaits.add(awaited);
        } else if let Some(notes) = self.tasks.get_mut(index).and_then(|task| task.notes.as_mut()) {
            notes.awaits.add(awaited);
        }
    }
}
