//! What happened to a task, as its span's events.

use opentelemetry_proto::tonic::{common::v1::KeyValue, trace::v1::span::Event};

use super::Spans;
use super::attributes::{number, text};
use super::clock::Distance;
use crate::names::printable;
use asyncscope_model::{Happened, History};

/// The events by time; each lies between `start_ns` and `end_ns`, as its span does.
pub(super) fn events(
    spans: &Spans<'_>,
    notes: &History,
    distance: Distance,
    (start_ns, end_ns): (u64, u64),
) -> Vec<Event> {
    let mut happened: Vec<_> = notes.happened.iter().map(|what| (time(what), what)).collect();
    happened.sort_by_key(|(time, _)| *time);
    let event = |(time, what): (u64, &Happened)| {
        let (name, attributes) = described(spans, notes, what);
        let time_unix_nano = distance.unix(time.clamp(start_ns, end_ns));
        Event { time_unix_nano, name: name.to_owned(), attributes, dropped_attributes_count: 0 }
    };
    happened.into_iter().map(event).collect()
}

fn time(what: &Happened) -> u64 {
    match what {
        Happened::LongPoll { start_ns, .. } | Happened::Delay { start_ns, .. } => *start_ns,
        Happened::Panic { time_ns, .. } | Happened::Abort { time_ns, .. } => *time_ns,
    }
}

fn described(spans: &Spans<'_>, notes: &History, what: &Happened) -> (&'static str, Vec<KeyValue>) {
    let duration = |start: u64, end: u64| number("asyncscope.duration_ns", end.saturating_sub(start));
    let thread = |thread: u32| number("thread.id", thread.into());
    match *what {
        Happened::LongPoll { start_ns, end_ns, thread: tid } => {
            ("asyncscope.long_poll", vec![duration(start_ns, end_ns), thread(tid)])
        }
        Happened::Delay { start_ns, end_ns } => ("asyncscope.scheduling_delay", vec![duration(start_ns, end_ns)]),
        Happened::Abort { thread: tid, .. } => ("asyncscope.abort", vec![thread(tid)]),
        Happened::Panic { thread: tid, .. } => {
            let stack = text("exception.stacktrace", causal_stack(spans, notes));
            ("exception", vec![text("exception.type", "panic"), stack, thread(tid)])
        }
    }
}

/// The task first, then who spawned it, and so on upwards.
fn causal_stack(spans: &Spans<'_>, notes: &History) -> String {
    let mut lines = Vec::new();
    for (place, line) in notes.line.upwards().enumerate() {
        let name = printable(&spans.names.task_type(line.vtable));
        let by = if place == 0 { "in task" } else { "spawned by task" };
        lines.push(format!("{by} {}: {name}", line.id.0));
    }
    lines.join("\n")
}
