//! The table of requests.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::ops::Range;

use super::labels::{id, path, status};
use super::names::{printable, text};
use super::units::{human, time_of_day};
use asyncscope_model::{Graph, Owner, Request, RequestId, Times};
use asyncscope_trace::facts::{Facts, InExchange};

/// The widest that a column is padded to, in characters.
const MAX_WIDTH: usize = 40;

const COLUMNS: usize = 12;
const HEADS: [&str; COLUMNS] = [
    "TIME (UTC)",
    "STATUS",
    "DURATION",
    "RUNNING",
    "OFF-CPU",
    "READY",
    "WAITING",
    "TASKS",
    "CALLS",
    "METHOD",
    "PATH",
    "ID",
];
/// The columns of numbers are flush right.
const NUMBERS: Range<usize> = 1..9;

/// Writes a line for each request, and what was under way before.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, requests: &[&Request], out: &mut dyn Write) -> io::Result<()> {
    write_table(graph, facts, requests, out)?;
    write_in_exchange(facts, out)
}

/// Writes on how many connections somebody waited for an answer at the attach, if on any: requests and calls that
/// began before are in no table.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write_in_exchange(facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    let Some(InExchange { called, served }) = facts.in_exchange.filter(|counts| counts.called + counts.served > 0)
    else {
        return Ok(());
    };
    let (both, was) = match called + served {
        1 => ("1 connection".to_owned(), "was"),
        more => (format!("{more} connections"), "were"),
    };
    writeln!(
        out,
        "{both} {was} in an exchange at the attach, which is in no table: on {called} of them the target had asked and \
         waited for an answer, on {served} it had been asked and had not answered"
    )
}

/// Writes a line for each request.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write_table(graph: &Graph, facts: &Facts, requests: &[&Request], out: &mut dyn Write) -> io::Result<()> {
    if requests.is_empty() {
        return writeln!(out, "{}", none_seen(facts));
    }
    if facts.sampling.is_some() {
        return write_sampled(graph, facts, requests, out);
    }
    let counts = RequestCounts::of(graph);
    let rows = requests.iter().map(|request| cells(facts, request, &counts));
    let rows: Vec<[String; COLUMNS]> = std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect();
    write_rows(&rows, NUMBERS, out)
}

fn none_seen(facts: &Facts) -> &'static str {
    if facts.correlation_headers.is_empty() { "no requests: HTTP was not watched" } else { "no requests seen" }
}

/// Of a run that sampled: how many samples are each request's.
fn write_sampled(graph: &Graph, facts: &Facts, requests: &[&Request], out: &mut dyn Write) -> io::Result<()> {
    let counts = Sampled::of(graph);
    let frequency = f64::from(facts.sampling.map_or(1, |sampling| sampling.frequency_hz.max(1)));
    let count = |of: &HashMap<RequestId, u64>, id| of.get(&id).copied().unwrap_or(0);
    let row = |request: &&Request| {
        let samples = count(&counts.samples, request.id);
        [
            time_of_day(&facts.armed, request.opened_ns),
            status(request.end, request.grpc_status),
            request.duration_ns().map_or("-".to_owned(), human),
            samples.to_string(),
            human((samples as f64 * 1e9 / frequency) as u64),
            count(&counts.tasks, request.id).to_string(),
            printable(&text(&request.line.method)),
            path(request),
            id(request),
        ]
    };
    let heads = ["TIME (UTC)", "STATUS", "DURATION", "SAMPLES", "CPU", "TASKS", "METHOD", "PATH", "ID"];
    let rows: Vec<_> = std::iter::once(heads.map(str::to_owned)).chain(requests.iter().map(row)).collect();
    write_rows(&rows, 1..6, out)
}

fn write_rows<const N: usize>(rows: &[[String; N]], numbers: Range<usize>, out: &mut dyn Write) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(MAX_WIDTH);
    let widths: [usize; N] = std::array::from_fn(width);
    rows.iter().try_for_each(|row| write_row(row, &widths, &numbers, out))
}

fn write_row(row: &[String], widths: &[usize], numbers: &Range<usize>, out: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        let cell = if numbers.contains(&column) { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        line.push_str(&cell);
    }
    writeln!(out, "{}", line.trim_end())
}

fn cells(facts: &Facts, request: &Request, counts: &RequestCounts) -> [String; COLUMNS] {
    let time = |of: fn(&Times) -> u64| request.times.as_ref().map_or("-".to_owned(), |times| human(of(times)));
    let count = |of: &HashMap<RequestId, u64>| of.get(&request.id).copied().unwrap_or(0).to_string();
    [
        time_of_day(&facts.armed, request.opened_ns),
        status(request.end, request.grpc_status),
        request.duration_ns().map_or("-".to_owned(), human),
        time(|times| times.running_ns),
        if facts.off_cpu { time(|times| times.off_cpu_ns) } else { "-".to_owned() },
        time(|times| times.ready_ns),
        time(|times| times.waiting_ns),
        count(&counts.tasks),
        counts.calls_of(request.id),
        printable(&text(&request.line.method)),
        path(request),
        id(request),
    ]
}

/// The numbers of each request's samples, and of the tasks these are in.
pub(super) struct Sampled {
    pub(super) samples: HashMap<RequestId, u64>,
    tasks: HashMap<RequestId, u64>,
}

impl Sampled {
    pub(super) fn of(graph: &Graph) -> Self {
        let (mut samples, mut tasks) = (HashMap::new(), HashMap::new());
        let mut known = HashSet::new();
        for (place, count) in graph.samples().counts() {
            let Some(request) = graph.request_of(&place) else { continue };
            *samples.entry(request).or_default() += count;
            if known.insert((request, place.running)) {
                *tasks.entry(request).or_default() += 1;
            }
        }
        Self { samples, tasks }
    }
}

/// The numbers of each request's tasks and calls, and of the calls that may be its as well.
struct RequestCounts {
    tasks: HashMap<RequestId, u64>,
    calls: HashMap<RequestId, u64>,
    perhaps: HashMap<RequestId, u64>,
}

impl RequestCounts {
    fn of(graph: &Graph) -> Self {
        let count = |owners: &mut dyn Iterator<Item = RequestId>| {
            let mut counts = HashMap::new();
            owners.for_each(|id| *counts.entry(id).or_default() += 1);
            counts
        };
        let tasks = &mut graph.tasks().values().filter_map(|task| graph.owner(task.id).request());
        let owners: Vec<Owner> = graph.calls().map(|call| graph.owner_of_call(call)).collect();
        let calls = &mut owners.iter().filter_map(Owner::request);
        let uncertain = owners.iter().filter(|owner| owner.request().is_none());
        let perhaps = &mut uncertain.flat_map(|owner| owner.candidates().iter().copied());
        Self { tasks: count(tasks), calls: count(calls), perhaps: count(perhaps) }
    }

    /// `2`, or `2+1?` where one more may be its.
    fn calls_of(&self, id: RequestId) -> String {
        let count = |of: &HashMap<RequestId, u64>| of.get(&id).copied().unwrap_or(0);
        match (count(&self.calls), count(&self.perhaps)) {
            (calls, 0) => calls.to_string(),
            (calls, perhaps) => format!("{calls}+{perhaps}?"),
        }
    }
}
