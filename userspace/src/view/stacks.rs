//! Folded stacks: spawn ancestry, root first, weighted by where the tasks' time went.

use clap::ValueEnum;

use super::names::Names;
use super::tree::Tree;
use crate::facts::Facts;
use crate::model::{Graph, Times};

/// What a stack's width means, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Weight {
    /// Time inside polls, but for other tasks' polls nested in them.
    #[default]
    Busy,
    /// Busy and waiting time together.
    Wall,
    /// Time between polls: ready or waiting.
    Wait,
}

impl Weight {
    /// A task's weight.
    #[must_use]
    pub fn of(self, times: &Times) -> u64 {
        let wait = times.ready_ns.saturating_add(times.waiting_ns);
        match self {
            Self::Busy => times.busy_ns(),
            Self::Wall => times.busy_ns().saturating_add(wait),
            Self::Wait => wait,
        }
    }

    /// What it means, for a title.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Busy => "time inside polls",
            Self::Wall => "time inside and between polls",
            Self::Wait => "time between polls",
        }
    }
}

/// All stacks with a weight, sorted frame by frame: frames divided by `;`, and nanoseconds.
#[must_use]
pub fn fold(graph: &Graph, facts: &Facts, weight: Weight) -> Vec<(String, u64)> {
    let names = Names::new(graph, facts);
    let tree = Tree::new(graph, &names);
    let mut weights = vec![0u64; tree.nodes.len()];
    for (node, task) in tree.tasks(graph) {
        weights[node] = weights[node].saturating_add(weight.of(&task.times));
    }
    let heavy = weights.into_iter().enumerate().filter(|(_, weight)| *weight > 0);
    let mut stacks: Vec<_> = heavy.map(|(node, weight)| (tree.stack(node), weight)).collect();
    stacks.sort_by(|(a, _), (b, _)| a.split(';').cmp(b.split(';')));
    stacks
}
