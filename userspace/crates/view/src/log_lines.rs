//! The lines that the target wrote, each behind who wrote it and for which request.
//!
//! `TIME stdout thread=4242 task=17 request=3 id=7f3a | TEXT`: what is not known, or is nobody's, is `-`; one
//! of several requests is `?`. Nothing in front of the bar but the time and the ID comes from the target,
//! and no space in either.

use std::collections::HashSet;
use std::io::{self, Write};

use super::labels::id;
use super::names::{printable, text};
use super::units::time_of_day;
use asyncscope_model::{Graph, LineCut, LoggedLine, Owner, Request, RequestId};
use asyncscope_trace::event::Standard;
use asyncscope_trace::facts::Facts;

/// Writes a line for each line; `only`: those of these requests, and those that may be of one of them.
///
/// # Errors
///
/// Those of `out`.
pub(super) fn write(graph: &Graph, facts: &Facts, only: Option<&[&Request]>, out: &mut dyn Write) -> io::Result<()> {
    if !facts.logs {
        return writeln!(out, "no lines: they were not captured (--logs)");
    }
    let only: Option<HashSet<RequestId>> = only.map(|requests| requests.iter().map(|request| request.id).collect());
    for (_, line) in graph.log_lines() {
        let owner = graph.owner_of_log_line(line);
        if only.as_ref().is_none_or(|only| owner.candidates().iter().any(|id| only.contains(id))) {
            write_line(graph, facts, line, &owner, out)?;
        }
    }
    match graph.totals().lines_dropped {
        0 => Ok(()),
        dropped => writeln!(out, "… and {dropped} more lines, for which there was no room"),
    }
}

fn write_line(graph: &Graph, facts: &Facts, line: &LoggedLine, owner: &Owner, out: &mut dyn Write) -> io::Result<()> {
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let (request, id) = match owner {
        Owner::None => ("-".to_owned(), "-".to_owned()),
        Owner::Ambiguous(_) => ("?".to_owned(), "?".to_owned()),
        Owner::Request(request) => {
            let known = graph.request(*request);
            (request.0.to_string(), known.map_or("-".to_owned(), |request| id(request).replace(' ', "\\x20")))
        }
    };
    writeln!(
        out,
        "{} {} thread={} task={} request={request} id={id}{} | {}",
        time_of_day(&facts.armed, line.time_ns),
        stream(line.to),
        number(line.thread.map(u64::from)),
        number(line.task.map(|task| task.0)),
        line.cut.map_or(String::new(), |cut| format!(" cut={}", why_cut(cut))),
        printable(&text(&line.text)),
    )
}

pub(super) fn stream(to: Standard) -> &'static str {
    match to {
        Standard::Output => "stdout",
        Standard::Error => "stderr",
    }
}

pub(super) fn why_cut(cut: LineCut) -> &'static str {
    match cut {
        LineCut::Long => "long",
        LineCut::Doubtful => "doubtful",
        LineCut::Open => "open",
    }
}
