//! The summary of a run that sampled CPU time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::lost;
use super::names::{self, DisplayNames, printable};
use super::samples::{GroupBy, UNKNOWN_REQUEST, Whose, leaf, route, whose};
use super::units::human;
use asyncscope_model::Graph;
use asyncscope_trace::event::Ended;
use asyncscope_trace::facts::Facts;

/// Rows shown of each table; the rest is counted.
const MAX_ROWS: usize = 40;

/// Samples by what they were of, and how their stacks ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SampleCounts {
    /// In tasks.
    tasks: u64,
    /// In the runtime, or in no task.
    elsewhere: u64,
    /// Of which it is not known.
    unknown: u64,
    /// Those in tasks, by how their stacks ended.
    ended: BTreeMap<Ended, u64>,
    types: BTreeMap<String, u64>,
    functions: BTreeMap<String, u64>,
    /// Of those in tasks: by method and path of the request whose work they are.
    routes: BTreeMap<String, u64>,
}

impl SampleCounts {
    fn of(graph: &Graph, names: &DisplayNames<'_>) -> Self {
        let mut counts = Self::default();
        for (place, count) in graph.samples().counts() {
            let whose = whose(graph, &place);
            match whose {
                Whose::Task(_) | Whose::Type(_) => {
                    counts.tasks += count;
                    let ended = graph.samples().stack(place.stack).map_or(Ended::NotUnwound, |stack| stack.ended);
                    *counts.ended.entry(ended).or_default() += count;
                    let request = graph.request_of(&place).and_then(|id| graph.request(id));
                    let route = request.map_or_else(|| UNKNOWN_REQUEST.to_owned(), route);
                    *counts.routes.entry(route).or_default() += count;
                }
                Whose::Runtime | Whose::Nobody => counts.elsewhere += count,
                Whose::Unknown => counts.unknown += count,
            }
            *counts.types.entry(whose.name(graph, names)).or_default() += count;
            let function = match leaf(graph, &place) {
                _ if place.in_kernel => "[kernel]".to_owned(),
                Some(function) => printable(&names::function(function)),
                None => continue,
            };
            *counts.functions.entry(function).or_default() += count;
        }
        counts
    }
}

/// Title and subtitle of a picture of this many samples, perhaps of some requests only.
pub(super) fn titles(
    graph: &Graph,
    facts: &Facts,
    by: GroupBy,
    total: u128,
    of: Option<&str>,
) -> (String, Option<String>) {
    let frequency = facts.sampling.map_or(0, |sampling| sampling.frequency_hz);
    let name = printable(&facts.process.name);
    let grouped = match by {
        GroupBy::Task => "under the tasks that spawned",
        GroupBy::Thread => "by thread",
        GroupBy::Request => "by request",
        GroupBy::Route => "by route",
    };
    let of = of.map_or_else(String::new, |of| format!(" of {of}"));
    let title = format!("{name}: CPU time{of}, {total} samples at {frequency} Hz, {grouped}");
    let span = graph.end_ns().saturating_sub(graph.config().armed_ns);
    let not_kept = match graph.samples().not_kept {
        0 => String::new(),
        count => format!(", {count} stacks not kept"),
    };
    let subtitle = format!("{} watched, {}{not_kept}", human(span), lost::described(&graph.totals()));
    (title, Some(subtitle))
}

/// Writes what is sampled.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    let names = DisplayNames::new(graph, facts);
    let counts = SampleCounts::of(graph, &names);
    let frequency = facts.sampling.map_or(0, |sampling| sampling.frequency_hz);
    let total = graph.samples().total;
    let SampleCounts { tasks, elsewhere, unknown, .. } = counts;
    let seconds = total as f64 / f64::from(frequency.max(1));
    writeln!(out, "{total} samples of CPU time at {frequency} Hz, so about {seconds:.2}s of it:")?;
    writeln!(out, "{tasks} in tasks, {elsewhere} outside of them, {unknown} of which it is not known")?;
    if graph.samples().contradictions > 0 {
        let count = graph.samples().contradictions;
        writeln!(
            out,
            "{count} samples in a poll of another type than the task's that tokio names, as at a poll's beginning and end"
        )?;
    }
    if graph.samples().not_kept > 0 {
        writeln!(out, "{} samples whose stack is not kept: too many were different", graph.samples().not_kept)?;
    }
    if facts.sampling.is_some_and(|sampling| sampling.stacks) {
        write_ended(&counts, out)?;
    }
    if facts.sampling.is_some_and(|sampling| sampling.requests) {
        table(&counts.routes, tasks, "REQUESTS (of the samples in tasks)", out)?;
    }
    table(&counts.types, total, "TASK TYPE", out)?;
    if !counts.functions.is_empty() {
        table(&counts.functions, total, "FUNCTION (the innermost)", out)?;
    }
    Ok(())
}

fn write_ended(counts: &SampleCounts, out: &mut dyn Write) -> io::Result<()> {
    let reached = counts.ended.get(&Ended::Poll).copied().unwrap_or(0);
    write!(out, "stacks of tasks: {reached} of {} {}", counts.tasks, Ended::Poll.meaning())?;
    for (ended, count) in counts.ended.iter().filter(|(ended, _)| **ended != Ended::Poll) {
        write!(out, ", {count}: {}", ended.meaning())?;
    }
    writeln!(out)
}

fn table(rows: &BTreeMap<String, u64>, total: u64, what: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<(&String, u64)> = rows.iter().map(|(name, count)| (name, *count)).collect();
    rows.sort_by_key(|&(_, count)| Reverse(count));
    writeln!(out, "\n{:>9} {:>7}  {what}", "SAMPLES", "SHARE")?;
    for (name, count) in rows.iter().take(MAX_ROWS) {
        let share = *count as f64 * 100.0 / total.max(1) as f64;
        writeln!(out, "{count:>9} {share:>6.2}%  {name}")?;
    }
    match rows.len().saturating_sub(MAX_ROWS) {
        0 => Ok(()),
        rest => writeln!(out, "… and {rest} more"),
    }
}
