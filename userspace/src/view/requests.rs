//! The table of requests.

use std::collections::HashMap;
use std::io::{self, Write};

use super::names::{printable, text};
use super::select::number;
use super::units::{human, time_of_day};
use crate::facts::Facts;
use crate::model::{Close, Closed, Graph, Request, RequestId, Times};

/// The widest that a column is padded to, in characters.
const MAX_WIDTH: usize = 40;

const COLUMNS: usize = 12;
const HEADS: [&str; COLUMNS] = [
    "TIME (UTC)",
    "STATUS",
    "DURATION",
    "RUNNING",
    "BLOCKED",
    "READY",
    "WAITING",
    "TASKS",
    "CALLS",
    "METHOD",
    "PATH",
    "ID",
];
/// The columns of numbers are flush right.
const NUMBERS: std::ops::Range<usize> = 1..9;

/// Writes a line for each request.
///
/// # Errors
///
/// Those of `out`.
pub fn write(graph: &Graph, facts: &Facts, requests: &[&Request], out: &mut dyn Write) -> io::Result<()> {
    if requests.is_empty() {
        return writeln!(out, "{}", none_seen(facts));
    }
    let counts = Counts::of(graph);
    let rows = requests.iter().map(|request| cells(facts, request, &counts));
    let rows: Vec<[String; COLUMNS]> = std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(MAX_WIDTH);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    rows.iter().try_for_each(|row| write_row(row, &widths, out))
}

fn none_seen(facts: &Facts) -> &'static str {
    if facts.correlation_headers.is_empty() { "no requests: HTTP was not watched" } else { "no requests seen" }
}

fn write_row(row: &[String; COLUMNS], widths: &[usize; COLUMNS], out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let cell = if NUMBERS.contains(&column) { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        line.push_str(&cell);
    }
    writeln!(out, "{}", line.trim_end())
}

fn cells(facts: &Facts, request: &Request, counts: &Counts) -> [String; COLUMNS] {
    let time = |of: fn(&Times) -> u64| request.times.as_ref().map_or("-".to_owned(), |times| human(of(times)));
    let count = |of: &HashMap<RequestId, u64>| of.get(&request.id).copied().unwrap_or(0).to_string();
    [
        time_of_day(&facts.armed, request.opened_ns),
        status(request.end, request.grpc_status),
        request.duration_ns().map_or("-".to_owned(), human),
        time(|times| times.running_ns),
        if facts.blocked { time(|times| times.blocked_ns) } else { "-".to_owned() },
        time(|times| times.ready_ns),
        time(|times| times.waiting_ns),
        count(&counts.tasks),
        count(&counts.calls),
        printable(&text(&request.line.method)),
        path(request),
        id(request),
    ]
}

/// How a request or a call ended, in a word or two.
pub(super) fn status(end: Option<Close>, grpc: Option<u8>) -> String {
    let status = match end.map(|end| end.how) {
        None => "open".to_owned(),
        Some(Closed::Answered { status }) => status.to_string(),
        Some(Closed::Cancelled) => "cancelled".to_owned(),
        Some(Closed::Panicked) => "panicked".to_owned(),
        Some(Closed::Unknown) => "unknown".to_owned(),
    };
    grpc.map_or(status.clone(), |grpc| format!("{status} grpc {grpc}"))
}

pub(super) fn path(request: &Request) -> String {
    let cut = if request.line.cut { "…" } else { "" };
    format!("{}{cut}", printable(&text(&request.line.path)))
}

/// The ID to ask for it by.
pub(super) fn id(request: &Request) -> String {
    let trace = request.ids.trace.filter(|_| request.ids.values.len() == 1);
    match (trace, request.ids.shown()) {
        (Some(trace), _) => format!("{:032x}", u128::from_be_bytes(trace.trace_id)),
        (None, Some(id)) => format!("{}{}", printable(&text(&id.value)), if id.cut { "…" } else { "" }),
        (None, None) => number(request.id),
    }
}

/// How many tasks and calls each request has.
struct Counts {
    tasks: HashMap<RequestId, u64>,
    calls: HashMap<RequestId, u64>,
}

impl Counts {
    fn of(graph: &Graph) -> Self {
        let count = |owners: &mut dyn Iterator<Item = RequestId>| {
            let mut counts = HashMap::new();
            owners.for_each(|id| *counts.entry(id).or_default() += 1);
            counts
        };
        let tasks = &mut graph.tasks().iter().filter_map(|task| graph.owner(task.id).request());
        let calls = &mut graph.calls().filter_map(|call| graph.owner_of_call(call).request());
        Self { tasks: count(tasks), calls: count(calls) }
    }
}
