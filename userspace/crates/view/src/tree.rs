//! Tasks merged by the names of their ancestors: one node for each distinct line of names.

use std::collections::HashMap;

use super::names::{DisplayNames, frame};
use asyncscope_model::{Graph, MAX_ANCESTRY, Parent, Task, TaskIndex, Why};

/// The merged tree. A node precedes its children.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<TreeNode>,
    /// The node of each of the graph's tasks; none for the runtime's own.
    node_of: Vec<Option<usize>>,
    by_name: HashMap<(Option<usize>, usize), usize>,
    names: Vec<String>,
    name_index: HashMap<String, usize>,
}

/// All tasks with the same line of names, or an origin of such lines.
#[derive(Debug)]
pub(super) struct TreeNode {
    pub(super) parent: Option<usize>,
    name: usize,
    pub(super) depth: usize,
    /// The number of tasks it stands for; 0 for an origin.
    pub(super) tasks: u64,
}

const DEEPER: &str = "[deeper]";

impl Tree {
    pub(super) fn new(graph: &Graph, names: &DisplayNames<'_>) -> Self {
        let mut tree = Self { node_of: vec![None; graph.tasks().len()], ..Self::default() };
        let mut types = HashMap::new();
        for (index, task) in graph.tasks().iter().filter(|(_, task)| !task.runtime) {
            let origin = tree.origin(graph, names, task);
            let name = *types.entry(task.vtable).or_insert_with(|| tree.intern(frame(&names.task_type(task.vtable))));
            tree.node_of[index.get()] = Some(tree.task_node(origin, name));
        }
        tree
    }

    /// Iterates over the nodes that tasks belong to, with the tasks.
    pub(super) fn tasks<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = (usize, &'a Task)> {
        graph.tasks().iter().filter_map(|(index, task)| Some((self.node(index)?, task)))
    }

    pub(super) fn name(&self, node: usize) -> &str {
        &self.names[self.nodes[node].name]
    }

    /// Returns the node of a task; none for the runtime's own.
    pub(super) fn node(&self, task: TaskIndex) -> Option<usize> {
        self.node_of.get(task.get()).copied().flatten()
    }

    /// The names from the origin down to this node, divided by `;`.
    pub(super) fn stack(&self, node: usize) -> String {
        self.line(node).join(";")
    }

    /// The names from the origin down to this node.
    pub(super) fn line(&self, node: usize) -> Vec<String> {
        let mut names = vec![self.name(node).to_owned()];
        let mut at = node;
        while let Some(parent) = self.nodes[at].parent {
            names.push(self.name(parent).to_owned());
            at = parent;
        }
        names.reverse();
        names
    }

    /// The node that a task's own hangs from. Parents precede their children in the graph.
    fn origin(&mut self, graph: &Graph, names: &DisplayNames<'_>, task: &Task) -> usize {
        let name = match task.parent() {
            Parent::Task(id) => {
                match graph.index_of(id).and_then(|parent| self.node(parent)) {
                    Some(node) => return node,
                    // A worker, as its stack reported after it had spawned.
                    None if graph.task(id).is_some_and(|parent| parent.runtime) && task.born().is_some() => {
                        task.born().map_or_else(String::new, |birth| thread_frame(names, birth.thread))
                    }
                    None => origin_name(Why::Unseen).to_owned(),
                }
            }
            Parent::Root(tid) => thread_frame(names, tid),
            Parent::Unknown(why) => origin_name(why).to_owned(),
        };
        let name = self.intern(name);
        self.child(None, name)
    }

    fn task_node(&mut self, origin: usize, name: usize) -> usize {
        let node = if self.nodes[origin].depth < MAX_ANCESTRY {
            self.child(Some(origin), name)
        } else if self.name(origin) == DEEPER {
            origin
        } else {
            let deeper = self.intern(DEEPER.to_owned());
            self.child(Some(origin), deeper)
        };
        self.nodes[node].tasks += 1;
        node
    }

    fn child(&mut self, parent: Option<usize>, name: usize) -> usize {
        let depth = parent.map_or(0, |parent| self.nodes[parent].depth + 1);
        let nodes = &mut self.nodes;
        *self.by_name.entry((parent, name)).or_insert_with(|| {
            nodes.push(TreeNode { parent, name, depth, tasks: 0 });
            nodes.len() - 1
        })
    }

    fn intern(&mut self, name: String) -> usize {
        let names = &mut self.names;
        *self.name_index.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            names.len() - 1
        })
    }
}

pub(super) fn thread_frame(names: &DisplayNames<'_>, tid: u32) -> String {
    let name = names.thread(tid).map(frame);
    format!("[thread {}]", name.unwrap_or_else(|| tid.to_string()))
}

fn origin_name(why: Why) -> &'static str {
    match why {
        Why::BeforeAttach => "[spawned before attach]",
        Why::Gap => "[spawn not seen: events lost]",
        Why::Unseen => "[spawn not seen: no hook passed]",
    }
}
