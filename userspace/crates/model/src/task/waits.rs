//! Await chains, and how long a task waited at each.

use asyncscope_trace::event::ChainFrame;

/// Waits kept of one task, or of one request.
pub const MAX_AWAITS: usize = 64;

/// The frames of an await chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwaitChain {
    /// The frames, each before those inside it.
    pub frames: Vec<ChainFrame>,
    /// `true` if it goes on in a way that was not followed.
    pub partial: bool,
}

/// The time that a task waited at one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The chain, in [`crate::Graph::chain`].
    pub chain: u64,
    /// Ready and waiting, in nanoseconds.
    pub ns: u64,
    /// The number of waits.
    pub times: u64,
}

/// One wait that was long, and at which chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The chain, in [`crate::Graph::chain`].
    pub chain: u64,
    /// The end of the poll before it, in nanoseconds.
    pub start_ns: u64,
    /// The start of the poll after it; where it goes on, when it was last seen to.
    pub end_ns: u64,
    /// The part of it, at its end, in which the task was ready to be polled.
    pub ready_ns: u64,
    /// `true` if it goes on.
    pub open: bool,
}

/// Waits that were long, by time, and how many more there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaits {
    /// The first of them.
    pub kept: Vec<Awaited>,
    /// The number of further ones.
    pub more: u64,
}

impl Awaits {
    pub(crate) fn add(&mut self, awaited: Awaited) {
        if self.kept.len() < MAX_AWAITS {
            self.kept.push(awaited);
        } else {
            self.more += 1;
        }
    }
}

impl AwaitChain {
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
