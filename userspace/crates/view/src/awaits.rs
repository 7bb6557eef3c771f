//! What tasks awaited, as frames of stacks.

use std::collections::HashMap;
use std::rc::Rc;

use super::names::{frame, printable};
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
    stacks: HashMap<u64, Vec<Below>>,
    /// No frame.
    none: Below,
}

/// The frames below a task's own, outermost first.
pub(super) type Below = Rc<[FrameBelow]>;

/// A frame below a task's own: an await, what is awaited, or a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameBelow {
    /// For people: its name and place.
    pub(super) shown: String,
    /// Its name alone.
    pub(super) name: String,
    /// The source file; empty where it has none.
    pub(super) file: String,
    /// The line of the `.await`, where that is known.
    pub(super) line: Option<u32>,
    /// The first line of the function, where no more is known.
    pub(super) starts: Option<u32>,
}

impl FrameBelow {
    pub(super) fn state(name: &str) -> Self {
        Self { shown: name.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    fn new(name: &str, of: &AwaitFrame) -> Self {
        let file = of.file.as_deref().map_or_else(String::new, printable);
        let is_exact = of.until.is_none_or(|until| Some(until) == of.line);
        let (line, starts) = if is_exact { (of.line, None) } else { (None, of.line) };
        Self { shown: shown(name, of), name: frame(name), file, line, starts }
    }
}

impl<'a> AwaitStacks<'a> {
    pub(super) fn new(graph: &'a Graph, facts: &'a Facts) -> Self {
        Self { graph, facts, stacks: HashMap::new(), none: Rc::new([]) }
    }

    /// Returns no frame: the time is the task's own.
    pub(super) fn own(&self) -> Below {
        self.none.clone()
    }

    /// The stacks to be put below a task's, with the time in nanoseconds that it waited there. A wait at several
    /// leaves at once is divided equally among them: which of them would have been enough is not known.
    pub(super) fn of(&mut self, task: &Task) -> Vec<(Below, u64)> {
        let waits = task.times().ready_ns.saturating_add(task.times().waiting_ns);
        if !self.graph.knows_chains() {
            return vec![(self.own(), waits)];
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
        let rest = waits.saturating_sub(known);
        stacks.extend((rest > 0).then(|| (Rc::from([FrameBelow::state(NOT_KNOWN)]), rest)));
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

fn stacks_of(chain: &AwaitChain, frames: &[AwaitFrame]) -> Vec<Below> {
    let numbers = chain.frames.iter().map(|frame| (frame.frame, frame.depth.into()));
    let mut line: Vec<FrameBelow> = Vec::new();
    let mut stacks = Vec::new();
    for (at, one) in chain.frames.iter().enumerate() {
        line.truncate(one.depth.into());
        let unknown = AwaitFrame::default();
        let of = frames.get(one.frame as usize).unwrap_or(&unknown);
        line.push(FrameBelow::new(frame_name(frames, numbers.clone(), at), of));
        if chain.frames.get(at + 1).is_none_or(|next| next.depth <= one.depth) {
            stacks.push(Rc::from(&line[..]));
        }
    }
    stacks
}
