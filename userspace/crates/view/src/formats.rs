//! The table of outputs: a row for each. Whoever adds one adds its file, its module in `lib.rs`, and its row here.

use super::format::{Comparison, Extra, KeptDetail, Medium, Need, OutputFormat, View};
use super::select::Selection;
use super::{flamegraph, folded, json, log_lines, long_polls, pprof, request, requests, summary};
use asyncscope_model::Detail;

/// A row with what most outputs have in common. It writes nothing.
const BASE: OutputFormat = OutputFormat {
    option: "",
    help: "",
    to: Medium::File { value: "FILE", optional: false, private: false },
    diff: Comparison::Apart,
    needs: None,
    records: None,
    keeps: KeptDetail::SUMS,
    write: |_, _| Ok(()),
};

/// The outputs that have an option of their own.
pub static FORMATS: [OutputFormat; 7] = [
    OutputFormat {
        option: "flamegraph",
        help: "A flamegraph: who spawned whom, as wide as --weight says",
        to: Medium::File { value: "FILE.svg", optional: false, private: false },
        diff: Comparison::Drawn,
        write: |view, out| {
            let View { graph, facts, weight, part, diff, .. } = view;
            match diff {
                Some(diff) => flamegraph::write_diff(graph, facts, *weight, diff, out),
                None => flamegraph::write(graph, facts, *weight, part, out),
            }
        },
        ..BASE
    },
    OutputFormat {
        option: "folded",
        help: "The flamegraph's stacks as text, in nanoseconds",
        diff: Comparison::Refused,
        write: |view, out| folded::write(view.graph, view.facts, view.weight, &view.part, out),
        ..BASE
    },
    OutputFormat {
        option: "pprof",
        help: "The same as a profile for pprof, with labels for tasks, threads and routes",
        diff: Comparison::Refused,
        write: |view, out| pprof::write(view.graph, view.facts, view.weight, &view.part, out),
        ..BASE
    },
    OutputFormat {
        option: "json",
        help: "Every task, poll, wake, spawn, request and call as a JSON object on a line",
        needs: Some(Need::Requests),
        keeps: KeptDetail { detail: Detail::Intervals, long_polls: true, log_lines: true },
        write: |view, out| json::write(view.graph, view.facts, view.lost, out),
        ..BASE
    },
    OutputFormat {
        option: "logs",
        help: "What the target writes to its standard output and error, line by line, each with its time, thread, \
               task, request and correlation ID. Without FILE only in the other outputs (--record, --json), if there \
               are any. What is written otherwise is never captured",
        to: Medium::File { value: "FILE", optional: true, private: true },
        records: Some(Extra::LogLines),
        keeps: KeptDetail { detail: Detail::Requests, log_lines: true, ..KeptDetail::SUMS },
        write: |view, out| log_lines::write(view.graph, view.facts, view.only.as_deref(), out),
        ..BASE
    },
    REQUESTS,
    OutputFormat {
        option: "long-polls",
        help: "Who blocks whom, on standard output: long polls, where their threads were off the CPU, and the tasks \
               that were ready meanwhile",
        to: Medium::Terminal { holds: "the long polls" },
        needs: Some(Need::Polls),
        keeps: KeptDetail { long_polls: true, ..KeptDetail::SUMS },
        write: |view, out| long_polls::write(view.graph, view.facts, view.long_poll_ns, out),
        ..BASE
    },
];

/// The table of requests.
const REQUESTS: OutputFormat = OutputFormat {
    option: "requests",
    help: "A table of the requests served, on standard output. With --mode sample, also what has samples reported by \
           request: hooks on system calls, each of which costs the target a trap at each read and write",
    to: Medium::Terminal { holds: "the requests" },
    needs: Some(Need::Requests),
    records: Some(Extra::Requests),
    keeps: KeptDetail { detail: Detail::Requests, ..KeptDetail::SUMS },
    write: |view, out| requests::write(view.graph, view.facts, &view.requests(), out),
    ..BASE
};

/// The output where none is asked for.
pub static SUMMARY: OutputFormat = OutputFormat {
    to: Medium::Terminal { holds: "the summary" },
    write: |view, out| summary::write(view.graph, view.facts, view.lost, out),
    ..BASE
};

/// The output of one request where no file and no table is asked for.
const STORY: OutputFormat = OutputFormat {
    option: "request",
    to: Medium::Terminal { holds: "the requests" },
    needs: Some(Need::Requests),
    keeps: KeptDetail { detail: Detail::Intervals, long_polls: false, log_lines: true },
    write: |view, out| match view.facts.sampling {
        // Samples have no story.
        Some(_) => requests::write(view.graph, view.facts, &view.requests(), out),
        None => view.requests().iter().try_for_each(|one| request::write(view.graph, view.facts, one, out)),
    },
    ..BASE
};

/// The output that a selection of requests asks for where none of the others shows them.
#[must_use]
pub fn implied(
    selection: &Selection,
    others: &mut dyn Iterator<Item = &OutputFormat>,
) -> Option<&'static OutputFormat> {
    let mut shown = others.filter(|format| !format.is_text() || format.option == REQUESTS.option);
    match selection {
        _ if selection.is_everything() || shown.next().is_some() => None,
        Selection { id: Some(_), .. } => Some(&STORY),
        _ => Some(&REQUESTS),
    }
}
