//! Folded stacks of some requests: the task that serves each, and under it the tasks spawned for it.
//!
//! Of a task that serves many requests in turn only the time in which a request was open counts. Where the
//! time of a request could not be followed, its own tasks count and the one that serves it does not.

use std::collections::{BTreeMap, HashSet};

use super::names::{DisplayNames, frame, text};
use super::weight::Weight;
use asyncscope_model::{Graph, MAX_ANCESTRY, Parent, Request, RequestId, Task, Times};
use asyncscope_trace::facts::Facts;

/// All stacks of these requests with a weight, in nanoseconds, sorted frame by frame. `label` is the
/// outermost frame; without one it is the request's method and path.
pub(super) fn fold(
    graph: &Graph,
    facts: &Facts,
    weight: Weight,
    requests: &[&Request],
    label: Option<&str>,
) -> Vec<(String, u64)> {
    let folding = Folding { graph, names: DisplayNames::new(graph, facts), label };
    let mut stacks: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    let mut add = |stack: Vec<String>, times: &Times| {
        let below = |frame: &str| stack.iter().cloned().chain([frame.to_owned()]).collect();
        let mut parts = weight.off_cpu(times).map(|(frame, ns)| (below(frame), ns)).to_vec();
        parts.push((stack, weight.of(times)));
        for (stack, ns) in parts {
            let sum = stacks.entry(stack).or_default();
            *sum = sum.saturating_add(ns);
        }
    };
    for request in requests {
        if let Some(times) = &request.times {
            add(folding.root(request), times);
        }
    }
    let chosen: HashSet<RequestId> = requests.iter().map(|request| request.id).collect();
    for task in graph.tasks().values() {
        let owner = graph.owner(task.id).request().filter(|id| chosen.contains(id));
        if let Some(request) = owner.and_then(|id| graph.request(id)).filter(|request| request.task != Some(task.id)) {
            add(folding.stack(request, task), &task.times());
        }
    }
    stacks.into_iter().filter(|(_, ns)| *ns > 0).map(|(stack, ns)| (stack.join(";"), ns)).collect()
}

struct Folding<'a> {
    graph: &'a Graph,
    names: DisplayNames<'a>,
    label: Option<&'a str>,
}

impl Folding<'_> {
    /// The label, and the task that serves the request.
    fn root(&self, request: &Request) -> Vec<String> {
        let line = || format!("{} {}", text(&request.line.method), text(&request.line.path));
        let serving = request.task.and_then(|id| self.graph.task(id));
        let serving = serving.map_or("[outside of every known task]".to_owned(), |task| self.name(task));
        vec![self.label.map_or_else(|| frame(&line()), frame), serving]
    }

    /// The root, then the tasks from the oldest that was spawned for the request down to this one.
    fn stack(&self, request: &Request, task: &Task) -> Vec<String> {
        let mut line = vec![self.name(task)];
        let mut at = task;
        while let Parent::Task(id) = at.parent()
            && let Some(parent) = self.graph.task(id)
            && request.task != Some(id)
            && self.graph.owner(id).request() == Some(request.id)
            && line.len() < MAX_ANCESTRY
        {
            line.push(self.name(parent));
            at = parent;
        }
        let mut stack = self.root(request);
        stack.extend(line.into_iter().rev());
        stack
    }

    fn name(&self, task: &Task) -> String {
        frame(&self.names.task_type(task.vtable))
    }
}
