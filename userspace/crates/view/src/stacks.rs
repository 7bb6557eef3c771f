//! Folded stacks: spawn ancestry, root first, weighted by where the tasks' time went.

use std::collections::HashMap;

use clap::ValueEnum;

use super::awaits::Awaits;
use super::names::Names;
use super::of_requests;
use super::samples::{self, By, Chosen};
use super::tree::Tree;
use asyncscope_model::{Graph, Request, Task, Times};
use asyncscope_trace::facts::Facts;

/// Below a task: its time inside polls in which its thread was blocked.
pub(super) const BLOCKED: &str = "[blocked]";
/// Below a task: the part of that which is asyncscope's doing.
pub(super) const IN_TRAP: &str = "[in asyncscope's own trap]";

/// What a stack's width means: nanoseconds, or samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Weight {
    /// Time inside polls, but for other tasks' polls nested in them.
    #[default]
    Busy,
    /// Busy and waiting time together.
    Wall,
    /// Time between polls: ready or waiting.
    Wait,
    /// CPU time, by samples: of a run with --mode sample.
    Cpu,
}

impl Weight {
    /// Whether the time inside polls counts, and whether that between them does.
    fn counts(self) -> (bool, bool) {
        (matches!(self, Self::Busy | Self::Wall), matches!(self, Self::Wall | Self::Wait))
    }

    /// A task's weight, or that of a part of one, but for what it was blocked.
    #[must_use]
    pub fn of(self, times: &Times) -> u64 {
        let wait = times.ready_ns.saturating_add(times.waiting_ns);
        match self {
            Self::Busy => times.on_cpu_ns(),
            Self::Wall => times.on_cpu_ns().saturating_add(wait),
            Self::Wait => wait,
            Self::Cpu => 0,
        }
    }

    /// What it was blocked, with the frame below the task's own.
    pub(super) fn blocked(self, times: &Times) -> [(&'static str, u64); 2] {
        let Times { blocked_ns, trap_ns, .. } = *times;
        let (busy, _) = self.counts();
        let counted = |ns| if busy { ns } else { 0 };
        [(BLOCKED, counted(blocked_ns.saturating_sub(trap_ns))), (IN_TRAP, counted(trap_ns))]
    }

    /// What it means, for a title.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Busy => "time inside polls",
            Self::Wall => "time inside and between polls",
            Self::Wait => "time between polls",
            Self::Cpu => "CPU time",
        }
    }
}

/// Which part of the graph is drawn.
#[derive(Clone, Debug, Default)]
pub enum Part<'a> {
    /// All of it, under the tasks that spawned.
    #[default]
    All,
    /// What was done for these requests, under a frame with this label, or else one for each path.
    Of {
        /// The requests.
        requests: Vec<&'a Request>,
        /// The outermost frame.
        label: Option<String>,
    },
    /// The samples of CPU time: all of them, or those of some requests.
    Samples(By, Option<Chosen>),
}

impl Part<'_> {
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

/// What a task's time splits up into, in nanoseconds, each with the frames below the task's own: these begin with
/// the `;` that divides them from it.
pub(super) fn parts(task: &Task, weight: Weight, awaits: &mut Awaits<'_>) -> Vec<(String, u64)> {
    let (busy, wait) = weight.counts();
    let mut parts = Vec::new();
    if busy {
        parts.push((String::new(), task.times().on_cpu_ns()));
        parts.extend(weight.blocked(&task.times()).map(|(frame, ns)| (format!(";{frame}"), ns)));
    }
    if wait {
        parts.extend(awaits.of(task));
    }
    parts
}

/// All stacks with a weight, sorted frame by frame: frames divided by `;`, and nanoseconds.
#[must_use]
pub fn fold(graph: &Graph, facts: &Facts, weight: Weight) -> Vec<(String, u64)> {
    let names = Names::new(graph, facts);
    let tree = Tree::new(graph, &names);
    let mut awaits = Awaits::new(graph, facts);
    let mut weights: HashMap<(usize, String), u64> = HashMap::new();
    let mut add = |node: usize, below: String, ns: u64| {
        let weight = weights.entry((node, below)).or_default();
        *weight = weight.saturating_add(ns);
    };
    for (node, task) in tree.tasks(graph) {
        parts(task, weight, &mut awaits).into_iter().for_each(|(below, ns)| add(node, below, ns));
    }
    let heavy = weights.into_iter().filter(|(_, weight)| *weight > 0);
    let mut stacks: Vec<_> = heavy.map(|((node, below), weight)| (tree.stack(node) + &below, weight)).collect();
    stacks.sort_by(|(a, _), (b, _)| a.split(';').cmp(b.split(';')));
    stacks
}
