//! The summary for the terminal: sums, task types, and who spawned whom.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::lost::Lost;
use super::names::{self, DisplayNames, printable};
use super::requests;
use super::sampled;
use super::tree::Tree;
use super::units::human;
use asyncscope_model::{Graph, Request, Task};
use asyncscope_trace::facts::Facts;

/// Rows shown of each table; the rest is counted.
const MAX_ROWS: usize = 40;
/// Requests shown.
const SLOWEST: usize = 5;
/// Levels of the tree by which its rows are indented.
const MAX_INDENT: usize = 32;

/// The reason why tables are empty.
const NO_TASKS: &str = "no task was seen: nothing was spawned or polled. The root future of `block_on` (as of \
                        `#[tokio::main]`) is no task: what a program does there alone is not seen";

/// Writes the summary. The runtime's own tasks are left out.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, lost: &Lost, out: &mut dyn Write) -> io::Result<()> {
    let names = DisplayNames::new(graph, facts);
    write_head(graph, facts, out)?;
    write_lost(graph, lost, out)?;
    let is_empty = tasks(graph).next().is_none();
    if is_empty {
        writeln!(out, "{NO_TASKS}")?;
    }
    if facts.sampling.is_some() {
        sampled::write(graph, facts, out)?;
        return write_tree(&Tree::new(graph, &names), out);
    }
    write_requests(graph, facts, out)?;
    if is_empty {
        return Ok(());
    }
    write_types(graph, facts, &names, out)?;
    write_tree(&Tree::new(graph, &names), out)
}

fn tasks(graph: &Graph) -> impl Iterator<Item = &Task> {
    graph.tasks().values().filter(|task| !task.runtime)
}

fn write_head(graph: &Graph, facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    let process = &facts.process;
    let span = graph.end_ns().saturating_sub(graph.config().armed_ns);
    let (name, tokio) = (printable(&process.name), names::tokio(facts));
    writeln!(out, "{name} (pid {}), tokio {tokio}, {} watched", process.pid, human(span))?;
    let born = tasks(graph).filter(|task| task.born().is_some()).count();
    if facts.sampling.is_some() {
        return writeln!(
            out,
            "{} tasks were spawned or sampled ({born} of them spawned meanwhile)",
            tasks(graph).count()
        );
    }
    let sum = |of: fn(&Task) -> u64| tasks(graph).map(of).sum::<u64>();
    writeln!(
        out,
        "{} tasks ({} of them spawned meanwhile), {} polls, {} wakes",
        tasks(graph).count(),
        born,
        sum(|task| task.polls),
        sum(|task| task.wakes),
    )
}

fn write_lost(graph: &Graph, lost: &Lost, out: &mut dyn Write) -> io::Result<()> {
    let totals = graph.totals();
    let kinds = lost.by_kind.iter().filter(|lost| lost.count > 0);
    let kinds: Vec<String> = kinds.map(|lost| format!("{} {}", printable(&lost.why), lost.count)).collect();
    if !kinds.is_empty() {
        writeln!(out, "events lost: {}", kinds.join(", "))?;
    } else if totals.gaps == 0 {
        writeln!(out, "no events lost")?;
    }
    if totals.gaps > 0 {
        let (lost, gaps) = (totals.lost, totals.gaps);
        writeln!(out, "gaps: {gaps}, with {lost} events missing; what they put in doubt is shown as unknown")?;
    }
    lost.unreadable().map_or(Ok(()), |what| writeln!(out, "{what}"))
}

/// Writes how many requests there were, and the slowest of those that are kept.
fn write_requests(graph: &Graph, facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    requests::write_in_exchange(facts, out)?;
    let totals = graph.totals();
    if totals.requests == 0 && totals.calls == 0 {
        return Ok(());
    }
    let open = graph.calls().filter(|call| call.end.is_none()).count();
    let open = if open > 0 { format!(", {open} of them without an answer yet") } else { String::new() };
    writeln!(out, "{} requests, {} outgoing calls{open}", totals.requests, totals.calls)?;
    let mut slowest: Vec<&Request> = graph.requests().filter(|request| request.duration_ns().is_some()).collect();
    slowest.sort_by_key(|request| Reverse(request.duration_ns()));
    slowest.truncate(SLOWEST);
    if slowest.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nSLOWEST REQUESTS (all of them: --requests)")?;
    requests::write_table(graph, facts, &slowest, out)
}

/// Sums over all tasks of one name.
#[derive(Debug, Default)]
struct TypeRow {
    tasks: u64,
    polls: u64,
    busy_ns: u64,
    off_cpu_ns: Option<u64>,
    ready_ns: u64,
    waiting_ns: u64,
    measured_polls: u64,
    polls_ns: u64,
    longest_poll_ns: u64,
}

impl TypeRow {
    fn add(&mut self, task: &Task, watch_off_cpu: bool) {
        let times = &task.times();
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.tasks, 1);
        add(&mut self.polls, task.polls);
        add(&mut self.busy_ns, times.busy_ns());
        if watch_off_cpu {
            add(self.off_cpu_ns.get_or_insert_default(), times.off_cpu_ns);
        }
        add(&mut self.ready_ns, times.ready_ns);
        add(&mut self.waiting_ns, times.waiting_ns);
        add(&mut self.measured_polls, task.polls.saturating_sub(task.polls_unended()));
        add(&mut self.polls_ns, times.polls_ns);
        self.longest_poll_ns = self.longest_poll_ns.max(times.longest_poll_ns);
    }

    fn cells(&self) -> [String; 8] {
        let measured = |ns: Option<u64>| ns.map_or("-".to_owned(), human);
        [
            self.tasks.to_string(),
            self.polls.to_string(),
            human(self.busy_ns),
            measured(self.off_cpu_ns),
            human(self.ready_ns),
            human(self.waiting_ns),
            measured(self.polls_ns.checked_div(self.measured_polls)),
            measured((self.measured_polls > 0).then_some(self.longest_poll_ns)),
        ]
    }
}

fn write_types(graph: &Graph, facts: &Facts, names: &DisplayNames<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: BTreeMap<String, TypeRow> = BTreeMap::new();
    for task in tasks(graph) {
        rows.entry(printable(&names.task_type(task.vtable))).or_default().add(task, facts.off_cpu);
    }
    let mut rows: Vec<(String, TypeRow)> = rows.into_iter().collect();
    rows.sort_by_key(|(_, row)| Reverse(row.busy_ns));
    let heads = ["TASKS", "POLLS", "BUSY", "OFF-CPU", "READY", "WAITING", "MEAN POLL", "MAX POLL"];
    writeln!(out)?;
    write_row(&heads.map(str::to_owned), "TASK TYPE", out)?;
    for (name, row) in rows.iter().take(MAX_ROWS) {
        write_row(&row.cells(), name, out)?;
    }
    write_rest(rows.len(), "task types", out)
}

fn write_row(cells: &[String; 8], name: &str, out: &mut dyn Write) -> io::Result<()> {
    for cell in cells {
        write!(out, "{cell:>9} ")?;
    }
    writeln!(out, " {name}")
}

fn write_rest(rows: usize, what: &str, out: &mut dyn Write) -> io::Result<()> {
    match rows.saturating_sub(MAX_ROWS) {
        0 => Ok(()),
        rest => writeln!(out, "… and {rest} more {what}"),
    }
}

fn write_tree(tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nWHO SPAWNED WHOM")?;
    let order = in_order(tree);
    for &node in order.iter().take(MAX_ROWS) {
        let indent = tree.nodes[node].depth.min(MAX_INDENT) * 2;
        let name = tree.name(node);
        match tree.nodes[node].tasks {
            0 => writeln!(out, "{:indent$}{name}", "")?,
            tasks => writeln!(out, "{:indent$}{name} ×{tasks}", "")?,
        }
    }
    write_rest(order.len(), "lines", out)
}

/// The nodes in depth-first order, among siblings those of most tasks first.
fn in_order(tree: &Tree) -> Vec<usize> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); tree.nodes.len()];
    let mut stack = Vec::new();
    for (node, at) in tree.nodes.iter().enumerate() {
        match at.parent {
            Some(parent) => children[parent].push(node),
            None => stack.push(node),
        }
    }
    // The last of the stack comes next, so the siblings go there in reverse.
    let by_tasks = |nodes: &mut Vec<usize>| {
        nodes.sort_by(|&a, &b| {
            let tasks = tree.nodes[a].tasks.cmp(&tree.nodes[b].tasks);
            tasks.then_with(|| tree.name(b).cmp(tree.name(a)))
        });
    };
    by_tasks(&mut stack);
    let mut order = Vec::with_capacity(tree.nodes.len());
    while let Some(node) = stack.pop() {
        order.push(node);
        by_tasks(&mut children[node]);
        stack.append(&mut children[node]);
    }
    order
}
