//! Spans of waits, against where the tasks say that they wait and between which polls they did.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use asyncscope_tests::agent::Agent;
use asyncscope_tests::chains::{Reported, function};
use asyncscope_tests::paths::Scratch;
use asyncscope_tests::seen::Seen;
use asyncscope_tests::spans::{number, text};
use opentelemetry_proto::tonic::trace::v1::Span;
use otlp_receiver::Receiver;

use crate::Test;
use crate::chains::{SOURCE, Waits};

/// What is long enough, in nanoseconds: `--min-span`.
const LONG_NS: u64 = 1_000_000;

pub(crate) fn tests() -> Vec<(String, Test)> {
    vec![("spans::awaits".to_owned(), Box::new(awaits))]
}

/// Each long time between two polls of a task is a span below the task's, at the await that the task says it
/// is at; and there is no other span of a wait.
fn awaits() -> Result<()> {
    let (target, receiver, scratch) = (Waits::start("rounds")?, Receiver::start()?, Scratch::new()?);
    let (pid, json) = (target.process.pid().to_string(), scratch.file("events.json"));
    let (path, backend) = (json.display().to_string(), format!("http://127.0.0.1:{}", receiver.port()));
    let args = ["attach", &pid, "--duration", "1s", "--traces", "tasks", "--json", &path, "--otlp", &backend];
    Agent::start(args)?.succeed()?;
    let (seen, spans) = (Seen::read(&json)?, receiver.spans(0));
    let reported: BTreeMap<u64, &Reported> =
        target.reported.iter().map(|reported| Ok((reported.id()?, reported))).collect::<Result<_>>()?;
    let by_id: BTreeMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let mut count = Count::default();
    let mut waits = between_polls(&seen);
    for wait in spans.iter().filter(|span| text(&span.attributes, "asyncscope.segment") == Some("await")) {
        let above = by_id.get(wait.parent_span_id.as_slice()).with_context(|| format!("no parent: {wait:?}"))?;
        let task = number(&above.attributes, "asyncscope.task.id").with_context(|| format!("below {above:?}"))?;
        let Some(reported) = reported.get(&task) else { continue };
        count.judge(wait, reported)?;
        if !wait.attributes.iter().any(|attribute| attribute.key == "asyncscope.open") {
            let lived = waits.get_mut(&task).and_then(|all| all.remove(&wait.start_time_unix_nano));
            ensure!(lived == Some(wait.end_time_unix_nano), "not between two polls: {wait:?}");
            count.spans += 1;
        }
    }
    let dropped = |span: &Span| number(&span.attributes, "asyncscope.dropped_awaits").unwrap_or(0);
    let dropped: u64 = spans.iter().map(dropped).sum();
    let unreported: usize = reported.keys().filter_map(|task| waits.get(task)).map(BTreeMap::len).sum();
    eprintln!("spans::awaits: {count:?}, {dropped} dropped, {unreported} waits without a span");
    ensure!(count.spans >= 15 * 10 && count.with_line >= 15 * 5, "too few: {count:?}");
    ensure!(seen.recording.totals.lost == 0, "events were lost");
    ensure!(
        unreported as u64 <= dropped + count.spans / 10,
        "{unreported} waits have no span, and {dropped} were dropped"
    );
    Ok(())
}

#[derive(Debug, Default)]
struct Count {
    spans: u64,
    with_line: u64,
}

impl Count {
    /// It is at the innermost place that is sure; with the line if that is no macro's.
    fn judge(&mut self, wait: &Span, reported: &Reported) -> Result<()> {
        let (name, line) = reported.trunk().with_context(|| format!("{} waits nowhere", reported.name))?;
        let said = text(&wait.attributes, "code.function.name").map(function);
        ensure!(said.as_deref() == Some(&name), "{name} said of {}, and {wait:?}", reported.name);
        let file = text(&wait.attributes, "code.file.path").unwrap_or_default();
        ensure!(file.starts_with(SOURCE), "in another file: {wait:?}");
        if let Some(said) = number(&wait.attributes, "code.line.number") {
            ensure!(said == u64::from(line), "{name}:{line} said of {}, and {wait:?}", reported.name);
            self.with_line += 1;
        }
        Ok(())
    }
}

/// The long times between polls by task, each from when to when, as spans have times.
fn between_polls(seen: &Seen) -> BTreeMap<u64, BTreeMap<u64, u64>> {
    let armed = seen.recording.armed;
    let unix = |monotonic_ns: u64| monotonic_ns + armed.unix_ns - armed.monotonic_ns;
    let of_task = |polls: &[asyncscope_tests::seen::SeenPoll]| {
        let pairs = polls.windows(2).filter_map(|pair| match pair {
            [before, after] => Some((before.end_ns?, after.start_ns)),
            _ => None,
        });
        let long = pairs.filter(|(end, start)| start.saturating_sub(*end) >= LONG_NS);
        long.map(|(end, start)| (unix(end), unix(start))).collect()
    };
    seen.polls.iter().map(|(task, polls)| (*task, of_task(polls))).collect()
}
