//! Samples of CPU time as stacks: whose they are, then the frames of the thread.

use std::collections::{BTreeMap, HashSet};

use super::labels::id as id_of;
use super::names::{self, DisplayNames, frame, text};
use super::tree::{Tree, thread_frame};
use asyncscope_model::{Graph, MAX_ANCESTRY, Parent, Request, RequestId, SampleKey, Task, TaskIndex};
use asyncscope_trace::event::{Ended, Running, TaskId};
use asyncscope_trace::facts::Facts;
use asyncscope_trace::facts::Function;

/// The outermost grouping of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    /// The tasks, under those that spawned them.
    #[default]
    Task,
    /// The threads, and on each the tasks.
    Thread,
    /// The requests served, each by itself, and in each the tasks. `[request not known]`: all that is not a
    /// request's for sure
    Request,
    /// The requests served, those of one method and path together.
    Route,
}

impl GroupBy {
    /// Returns `true` if it takes requests to be seen.
    #[must_use]
    pub const fn needs_requests(self) -> bool {
        matches!(self, Self::Request | Self::Route)
    }
}

/// Some requests, and what they are called together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenRequests {
    /// The requests.
    pub requests: HashSet<RequestId>,
    /// The outermost frame, in place of each one's method and path.
    pub label: Option<String>,
}

/// The frame above what is not a request's for sure.
pub(super) const UNKNOWN_REQUEST: &str = "[request not known]";

/// The owner of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Whose {
    /// A task.
    Task(TaskIndex),
    /// Some task of this type: the thread was in its poll function, but not where tokio names the task.
    Type(u64),
    /// The runtime's own: a worker that looks for work.
    Runtime,
    /// Nobody's: the thread polled no task.
    Nobody,
    /// Not known: tokio's word could not be read.
    Unknown,
}

/// Returns the owner of the samples at this place.
pub(super) fn whose(graph: &Graph, place: &SampleKey) -> Whose {
    let by_stack = || match graph.polled_by(place.stack) {
        [] => None,
        vtables if vtables.iter().all(|vtable| graph.config().runtime.contains(vtable)) => Some(Whose::Runtime),
        &[vtable] => Some(Whose::Type(vtable)),
        _ => Some(Whose::Unknown),
    };
    match place.running {
        Running::Task(id) => match graph.index_of(id).map(|index| (index, &graph.tasks()[index])) {
            Some((_, task)) if task.runtime => Whose::Runtime,
            Some((index, _)) => Whose::Task(index),
            None => Whose::Unknown,
        },
        Running::Nothing => by_stack().unwrap_or(Whose::Nobody),
        Running::Unknown => by_stack().unwrap_or(Whose::Unknown),
    }
}

impl Whose {
    /// For people; a task by its type.
    pub(super) fn name(self, graph: &Graph, names: &DisplayNames<'_>) -> String {
        match self {
            Self::Task(index) => frame(&names.task_type(graph.tasks()[index].vtable)),
            Self::Type(vtable) => frame(&names.task_type(vtable)),
            Self::Runtime => "[runtime]".to_owned(),
            Self::Nobody => "[outside of tasks]".to_owned(),
            Self::Unknown => "[task not known]".to_owned(),
        }
    }
}

/// Samples at one place.
pub(super) struct One<'a> {
    /// The task in whose poll they fell.
    pub(super) task: Option<TaskId>,
    /// The request whose work they are, where that is known.
    pub(super) request: Option<&'a Request>,
    /// For people.
    pub(super) task_type: String,
    /// For people.
    pub(super) thread: String,
    /// The frames above the code, outermost first.
    pub(super) above: Vec<String>,
    /// The thread's frames, outermost first.
    pub(super) native: Vec<Native<'a>>,
    /// The number of samples.
    pub(super) count: u64,
}

/// A frame of a thread's stack.
pub(super) struct Native<'a> {
    /// For people.
    pub(super) name: String,
    /// The function, if that is known.
    pub(super) function: Option<&'a Function>,
}

impl Native<'_> {
    fn state(name: &str) -> Self {
        Self { name: name.to_owned(), function: None }
    }
}

/// All stacks and how many samples fell there, sorted frame by frame: frames divided by `;`.
pub(super) fn fold(graph: &Graph, facts: &Facts, by: GroupBy, only: Option<&ChosenRequests>) -> Vec<(String, u64)> {
    let mut stacks: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for One { above: mut stack, native, count, .. } in each(graph, facts, by, only) {
        stack.extend(native.into_iter().map(|native| native.name));
        let sum = stacks.entry(stack).or_default();
        *sum = sum.saturating_add(count);
    }
    stacks.into_iter().map(|(stack, count)| (stack.join(";"), count)).collect()
}

/// The samples, place by place; those of the chosen requests, if any are chosen.
pub(super) fn each<'a>(
    graph: &'a Graph,
    facts: &'a Facts,
    by: GroupBy,
    only: Option<&'a ChosenRequests>,
) -> impl Iterator<Item = One<'a>> {
    let names = DisplayNames::new(graph, facts);
    let tree = Tree::new(graph, &names);
    graph.samples().counts().filter_map(move |(place, count)| {
        let whose = whose(graph, &place);
        let (thread, task_type) = (thread_frame(&names, place.thread), whose.name(graph, &names));
        let request = graph.request_of(&place).and_then(|id| graph.request(id));
        if only.is_some_and(|only| request.is_none_or(|request| !only.requests.contains(&request.id))) {
            return None;
        }
        let label = only.and_then(|only| only.label.as_deref());
        let above = match (by, whose) {
            (GroupBy::Request | GroupBy::Route, _) => match request.zip(place.running.task()) {
                Some((request, id)) => under(graph, &names, request, (by, label), id),
                None => vec![UNKNOWN_REQUEST.to_owned(), task_type.clone()],
            },
            (GroupBy::Task, Whose::Task(index)) => tree.node(index).map_or_else(Vec::new, |node| tree.line(node)),
            _ => vec![thread.clone(), task_type.clone()],
        };
        let task = if let Whose::Task(index) = whose { Some(graph.tasks()[index].id) } else { None };
        Some(One { task, request, task_type, thread, above, native: native(graph, &place), count })
    })
}

/// The request, and its tasks from the one that serves it down to this one.
fn under(
    graph: &Graph,
    names: &DisplayNames<'_>,
    request: &Request,
    (by, label): (GroupBy, Option<&str>),
    id: TaskId,
) -> Vec<String> {
    let name = |task: &Task| frame(&names.task_type(task.vtable));
    let mut line = Vec::new();
    let mut at = graph.task(id);
    while let Some(task) = at.filter(|_| line.len() < MAX_ANCESTRY) {
        line.push(name(task));
        at = match task.parent() {
            Parent::Task(parent) if request.task != Some(task.id) => graph.task(parent),
            _ => None,
        };
    }
    let title = label.map_or_else(|| route(request), frame);
    line.push(if by == GroupBy::Request { format!("{title} {}", frame(&id_of(request))) } else { title });
    line.reverse();
    line
}

/// The request's method and path, as a frame.
pub(super) fn route(request: &Request) -> String {
    frame(&format!("{} {}", text(&request.line.method), text(&request.line.path)))
}

/// The thread's frames, outermost first: those of the task's own code where the stack was unwound to its poll
/// function.
fn native<'a>(graph: &'a Graph, place: &SampleKey) -> Vec<Native<'a>> {
    let mut all = Vec::new();
    if let Some(stack) = graph.samples().stack(place.stack) {
        if !stack.ended.is_whole() && stack.ended != Ended::NotUnwound {
            all.push(Native::state("[stack cut]"));
        }
        for &address in stack.frames.iter().rev() {
            let functions = graph.samples().code(address);
            let known = functions.iter().rev();
            all.extend(
                known.map(|function| Native { name: frame(&names::function(function)), function: Some(function) }),
            );
            if functions.is_empty() {
                all.push(Native::state(&format!("{address:#x}")));
            }
        }
        if stack.ended == Ended::Poll {
            let harness = all.iter().take_while(|native| is_harness(&native.name)).count();
            all.drain(..harness);
        }
    }
    if place.in_kernel {
        all.push(Native::state("[kernel]"));
    }
    all
}

/// Returns `true` for what tokio puts between a poll function and a future: it is above every task.
fn is_harness(name: &str) -> bool {
    const BEGINNINGS: [&str; 5] =
        ["tokio::runtime::task::", "tokio::loom::", "std::panic", "core::panic", "core::ops::function::FnOnce"];
    let name = name.trim_start_matches('<');
    BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// The function that a sample fell in, if its stack is known.
pub(super) fn leaf<'a>(graph: &'a Graph, place: &SampleKey) -> Option<&'a Function> {
    let stack = graph.samples().stack(place.stack)?;
    graph.samples().code(*stack.frames.first()?).first()
}
