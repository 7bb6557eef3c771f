//! Spans of a graph, on their way out: while it grows, and when it is finished.

use std::{io, time::Duration};

use anyhow::{Context as _, Result, bail};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::signal::unix::{SignalKind, signal};

use super::{HOLD_NS, OnFull};
use asyncscope_export::{Account, Destination, Exporter, Prepared, Settings};
use asyncscope_model::{Graph, SpanDetail};
use asyncscope_trace::facts::Facts;
use asyncscope_view::otlp::{self, Batch, Due, KnownSpans, SpanOptions, Spans, Traces};

/// The time that an interrupted exporter may take to say how far it came.
const LAST_WORD: Duration = Duration::from_secs(1);

/// The outputs that the user asked for.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The address; `-` is standard output, and nothing what the environment says.
    pub to: Option<String>,
    /// The spans to be sent.
    pub options: SpanOptions,
    /// The shortest wait, poll or delay that becomes a span or an event.
    pub min_span: Duration,
}

/// Decided, and not begun.
#[derive(Debug)]
pub(in crate::session) struct Ready {
    wanted: ExportOptions,
    exporter: Prepared,
}

/// Begun.
#[derive(Debug)]
pub(in crate::session) struct Export {
    exporter: Exporter,
    emitter: SpanEmitter,
    shown: String,
}

/// Makes spans of what is due.
#[derive(Debug)]
struct SpanEmitter {
    options: SpanOptions,
    due: Due,
    known: KnownSpans,
    /// Requests and calls that were forgotten before they could be reported.
    missed: u64,
}

impl ExportOptions {
    pub(in crate::session) fn is_stdout(&self) -> bool {
        self.to.as_deref() == Some("-")
    }

    /// Reads the environment, and the certificates that it names.
    pub(in crate::session) fn ready(&self) -> Result<Ready> {
        let to = match self.is_stdout() {
            true => Destination::Lines(Box::new(io::stdout())),
            false => Destination::Backend(Box::new(Settings::new(self.to.as_deref(), &environment)?)),
        };
        Ok(Ready { wanted: self.clone(), exporter: Prepared::new(to)? })
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Ready {
    /// Returns what the graph has to note.
    pub(in crate::session) fn noted(&self) -> SpanDetail {
        SpanDetail { min_ns: u64::try_from(self.wanted.min_span.as_nanos()).unwrap_or(u64::MAX) }
    }

    pub(in crate::session) fn start(self, facts: &Facts) -> Result<Export> {
        let shown = self.exporter.shown().to_owned();
        let exporter = self.exporter.start(otlp::envelope(facts, &environment))?;
        let emitter =
            SpanEmitter { options: self.wanted.options, due: Due::default(), known: KnownSpans::default(), missed: 0 };
        Ok(Export { exporter, emitter, shown })
    }
}

impl SpanEmitter {
    fn hand_over(&mut self, graph: &Graph, facts: &Facts, batch: &Batch, to: &mut dyn FnMut(Span)) {
        self.missed += batch.missed;
        let spans = Spans::new(graph, facts, &self.options, &self.known);
        let requests = || batch.requests.iter().filter_map(|id| graph.request(*id));
        requests().flat_map(|request| spans.of_request(request)).for_each(&mut *to);
        batch.calls.iter().filter_map(|id| spans.of_call(graph.call(*id)?)).for_each(&mut *to);
        let tasks = batch.tasks.iter().filter_map(|place| graph.tasks().get(*place));
        tasks.flat_map(|task| spans.of_task(task)).for_each(&mut *to);
        let places: Vec<_> = requests().map(|request| spans.to_remember(request)).collect();
        self.known.remember(places);
    }
}

impl Export {
    /// Hands over the spans of what was over some time before `now_ns`, on the clock of the events. With
    /// `forget`, the tasks leave the graph.
    pub(in crate::session) fn round(
        &mut self,
        graph: &mut Graph,
        facts: &Facts,
        now_ns: u64,
        forget: bool,
        full: OnFull,
    ) {
        let Self { exporter, emitter, .. } = self;
        let batch = emitter.due.until(graph, now_ns.saturating_sub(HOLD_NS));
        emitter.hand_over(graph, facts, &batch, &mut |span| match full {
            OnFull::Drop => exporter.offer(span),
            OnFull::Wait => exporter.put(span),
        });
        if forget {
            graph.evict(&batch.tasks);
        }
    }

    /// Somebody waits for it from now on.
    pub(in crate::session) fn hurry(&self) {
        self.exporter.hurry();
    }

    /// Hands over all other spans of a finished graph, and waits until each has arrived or was given up.
    ///
    /// # Errors
    ///
    /// How many spans did not arrive, and why.
    pub(in crate::session) fn finish(self, graph: &mut Graph, facts: &Facts) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot wait for the exporter")?;
        // From here on a signal no longer ends this process by itself.
        let mut interrupted = {
            let _entered = runtime.enter();
            signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?
        };
        let Self { mut exporter, mut emitter, shown } = self;
        exporter.hurry();
        let batch = emitter.due.rest(graph);
        let inlet = exporter.inlet();
        let graph = &*graph;
        let account = std::thread::scope(|scope| {
            let emitter = &mut emitter;
            let batch = &batch;
            scope.spawn(move || {
                emitter.hand_over(graph, facts, batch, &mut |span| inlet.put(span));
                let spans = Spans::new(graph, facts, &emitter.options, &emitter.known);
                graph.open().flat_map(|task| spans.of_task(task)).for_each(|span| inlet.put(span));
            });
            runtime.block_on(async {
                tokio::select! {
                    account = exporter.closed() => account,
                    _ = interrupted.recv() => interrupt(&mut exporter).await,
                }
            })
        });
        emit(&shown, &account, emitter.missed, emitter.options.traces)
    }
}

async fn interrupt(exporter: &mut Exporter) -> Account {
    exporter.abandon();
    let account = tokio::time::timeout(LAST_WORD, exporter.closed()).await;
    account.unwrap_or_default()
}

fn emit(to: &str, account: &Account, missed: u64, traces: Traces) -> Result<()> {
    for (warning, times) in &account.warnings {
        eprintln!("{to} says, {times} times: {warning}");
    }
    let lost = account.all_lost().saturating_add(missed);
    if lost == 0 {
        let none = "; no request was seen, and `--traces tasks` would report all tasks";
        let hint = if account.accepted == 0 && traces == Traces::Requests { none } else { "" };
        eprintln!("sent {} spans to {to}{hint}", account.accepted);
        return Ok(());
    }
    let all = account.accepted.saturating_add(lost);
    let mut why: Vec<String> = account.lost.iter().map(|(why, spans)| format!("{spans}: {why}")).collect();
    if missed > 0 {
        why.push(format!("{missed}: too many requests ended at once"));
    }
    bail!("{lost} of {all} spans did not reach {to} ({})", why.join("; "))
}
