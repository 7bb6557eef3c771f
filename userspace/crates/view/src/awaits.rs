//! What tasks awaited, as frames of stacks.

use std::collections::HashMap;

use super::names::frame;
use asyncscope_model::{AwaitChain, Graph, Task};
use asyncscope_trace::{
    chain::{self, frame_name},
    facts::{AwaitFrame, Facts},
};

/// The frame of waits at nobody knows what.
const NOT_KNOWN: &str = "[await not known]";

/// The chains of a recording as stacks below a task's own.
#[derive(Debug)]
pub(super) struct AwaitStacks<'a> {
    graph: &'a Graph,
    facts: &'a Facts,
    stacks: HashMap<u64, Vec<String>>,
}

impl<'a> AwaitStacks<'a> {
    pub(super) fn new(graph: &'a Graph, facts: &'a Facts) -> Self {
        Self { graph, facts, stacks: HashMap::new() }
    }

    /// The stacks to be put below a task's, with the time in nanoseconds that it waited there. A wait at several
    /// leaves at once is divided equally among them: which of them would have been enough is not known.
    pub(super) fn of(&mut self, task: &Task) -> Vec<(String, u64)> {
        let waits = task.times().ready_ns.saturating_add(task.times().waiting_ns);
        if !self.graph.knows_chains() {
            return vec![(String::new(), waits)];
        }
        let mut stacks = Vec::new();
        let mut known: u64 = 0;
        for waited in task.waited() {
            let (graph, facts) = (self.graph, self.facts);
            let ways = self.stacks.entry(waited.chain).or_insert_with(|| {
                graph.chain(waited.chain).map(|chain| stacks_of(chain, &facts.frames)).unwrap_or_default()
            });
            let Some((count, first)) = u64::try_from(ways.len()).ok().zip(ways.first()) else { continue };
            known = known.saturating_add(waited.ns);
            let share = waited.ns / count;
            stacks.push((first.clone(), waited.ns - share * (count - 1)));
            stacks.extend(ways.iter().skip(1).map(|way| (way.clone(), share)));
        }
        stacks.push((format!(";{NOT_KNOWN}"), waits.saturating_sub(known)));
        stacks
    }
}

/// Returns a frame's name and place as they are shown.
pub(crate) fn shown(name: &str, of: &AwaitFrame) -> String {
    let place = super::dump::place(of);
    frame(&place.map_or_else(|| name.to_owned(), |place| format!("{name} {place}")))
}

/// Returns `true` if a frame of a stack is a state, not code.
pub(super) fn is_state(name: &str) -> bool {
    name.starts_with('[')
}

/// Returns `true` if a frame is a leaf that is called by the method it waits in.
pub(super) fn is_leaf_name(name: &str) -> bool {
    chain::leaf_names().any(|leaf| leaf == name)
}

/// Each begins with the `;` that divides it from what it is put below.
fn stacks_of(chain: &AwaitChain, frames: &[AwaitFrame]) -> Vec<String> {
    let numbers = chain.frames.iter().map(|frame| (frame.frame, frame.depth.into()));
    let mut names: Vec<String> = Vec::new();
    let mut stacks = Vec::new();
    for (at, one) in chain.frames.iter().enumerate() {
        names.truncate(one.depth.into());
        let unknown = AwaitFrame::default();
        let of = frames.get(one.frame as usize).unwrap_or(&unknown);
        names.push(shown(frame_name(frames, numbers.clone(), at), of));
        if chain.frames.get(at + 1).is_none_or(|next| next.depth <= one.depth) {
            stacks.push(names.iter().map(|name| format!(";{name}")).collect());
        }
    }
    stacks
}
