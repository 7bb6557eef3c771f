//! Folded stacks: spawn ancestry, root first, weighted by where the tasks' time went.

use std::collections::HashMap;
use std::rc::Rc;

use super::awaits::{AwaitStacks, Below, FrameBelow};
use super::names::DisplayNames;
use super::of_requests;
use super::samples::{self, ChosenRequests, GroupBy};
use super::tree::Tree;
use super::weight::Weight;
use asyncscope_model::{Graph, Request, Task};
use asyncscope_trace::facts::Facts;

/// The part of the graph that is drawn.
#[derive(Clone, Debug, Default)]
pub enum GraphPart<'a> {
    /// All of it, under the tasks that spawned.
    #[default]
    All,
    /// The work for these requests, under a frame with this label, or else one for each path.
    Of {
        /// The requests.
        requests: Vec<&'a Request>,
        /// The outermost frame.
        label: Option<String>,
    },
    /// The samples of CPU time: all of them, or those of some requests.
    Samples(GroupBy, Option<ChosenRequests>),
}

impl GraphPart<'_> {
    /// Its stacks with a weight, sorted frame by frame: frames divided by `;`, and nanoseconds or samples.
    #[must_use]
    pub fn fold(&self, graph: &Graph, facts: &Facts, weight: Weight) -> Vec<(String, u64)> {
        match self {
            Self::All => fold(graph, facts, weight),
            Self::Samples(by, only) => samples::fold(graph, facts, *by, only.as_ref()),
            Self::Of { requests, label } => of_requests::fold(graph, facts, weight, requests, label.as_deref()),
        }
    }
}

/// Splits a task's time up, in nanoseconds, each part with the frames below the task's own. Those that took no time
/// may be missing.
pub(super) fn parts(task: &Task, weight: Weight, awaits: &mut AwaitStacks<'_>) -> Vec<(Below, u64)> {
    let (busy, wait) = weight.counts();
    let mut parts = Vec::new();
    if busy {
        let off_cpu = weight.off_cpu(&task.times()).into_iter().filter(|(_, ns)| *ns > 0);
        parts.push((awaits.own(), task.times().on_cpu_ns()));
        parts.extend(off_cpu.map(|(frame, ns)| (Rc::from([FrameBelow::state(frame)]), ns)));
    }
    if wait {
        parts.extend(awaits.of(task));
    }
    parts
}

/// All stacks with a weight, sorted frame by frame: frames divided by `;`, and nanoseconds.
#[must_use]
pub fn fold(graph: &Graph, facts: &Facts, weight: Weight) -> Vec<(String, u64)> {
    let names = DisplayNames::new(graph, facts);
    let tree = Tree::new(graph, &names);
    let mut awaits = AwaitStacks::new(graph, facts);
    let mut weights: HashMap<(usize, String), u64> = HashMap::new();
    let mut add = |node: usize, below: String, ns: u64| {
        let weight = weights.entry((node, below)).or_default();
        *weight = weight.saturating_add(ns);
    };
    for (node, task) in tree.tasks(graph) {
        for (below, ns) in parts(task, weight, &mut awaits) {
            add(node, below.iter().map(|frame| format!(";{}", frame.shown)).collect(), ns);
        }
    }
    let heavy = weights.into_iter().filter(|(_, weight)| *weight > 0);
    let mut stacks: Vec<_> = heavy.map(|((node, below), weight)| (tree.stack(node) + &below, weight)).collect();
    stacks.sort_by(|(a, _), (b, _)| a.split(';').cmp(b.split(';')));
    stacks
}
