//! Spans, as OTLP has them. docs/otlp.md describes them.
//!
//! A task is a span, its parent's span above it. A span is made when its task is over, from what the graph
//! knows of it then; nothing else of the graph has to be kept for it.

mod attributes;
mod awaits;
mod clock;
mod due;
mod events;
mod ids;
mod links;
mod place;
mod requests;
mod resource;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::OnceLock;

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};

use self::clock::SpanClock;
use self::ids::{Ratio, SpanIds};
use super::names::DisplayNames;
use asyncscope_model::{Call, Graph, Request, Task};
use asyncscope_trace::facts::{AwaitFrame, Facts};

pub use self::due::{Batch, Due};
pub use self::ids::SampleRatio;
pub use self::place::{KnownSpans, Remembered};

/// The semantic conventions that the attributes' names follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// The things that become spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traces {
    /// Requests, the calls made for them, and their tasks.
    #[default]
    Requests,
    /// All others as well: tasks that no task spawned begin traces.
    Tasks,
}

/// The spans to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpanOptions {
    /// The things that become spans.
    pub traces: Traces,
    /// The part of the traces.
    pub sampling: SampleRatio,
}

/// Makes spans of a graph.
#[derive(Debug)]
pub struct Spans<'a> {
    graph: &'a Graph,
    names: DisplayNames<'a>,
    clock: SpanClock,
    ids: SpanIds,
    ratio: Ratio,
    options: SpanOptions,
    headers: &'a [String],
    frames: &'a [AwaitFrame],
    /// `true` if off-CPU time inside polls was watched.
    off_cpu: bool,
    known: &'a KnownSpans,
    passed_on: OnceLock<HashMap<ids::SpanId, u32>>,
}

impl<'a> Spans<'a> {
    /// For a graph that takes notes.
    #[must_use]
    pub fn new(graph: &'a Graph, facts: &'a Facts, options: &SpanOptions, known: &'a KnownSpans) -> Self {
        Self {
            graph,
            names: DisplayNames::new(graph, facts),
            clock: SpanClock::new(facts),
            ids: SpanIds::new(facts),
            ratio: Ratio::new(options.sampling),
            options: *options,
            headers: &facts.correlation_headers,
            frames: &facts.frames,
            off_cpu: facts.off_cpu,
            known,
            passed_on: OnceLock::new(),
        }
    }

    /// The span of a task, and those of its waits; none for one of the runtime's own, one whose trace is not
    /// wanted, and where no notes were taken.
    #[must_use]
    pub fn of_task(&self, task: &Task) -> Vec<Span> {
        tasks::spans(self, task).unwrap_or_default()
    }

    /// The span of a request, and those of what its task waited for; none where its trace is not wanted.
    #[must_use]
    pub fn of_request(&self, request: &Request) -> Vec<Span> {
        requests::of_request(self, request).unwrap_or_default()
    }

    /// The span of a call; `None` where its trace is not wanted.
    #[must_use]
    pub fn of_call(&self, call: &Call) -> Option<Span> {
        requests::of_call(self, call)
    }
}

/// Returns what all spans of these facts have in common. `environment` gives a variable's value.
#[must_use]
pub fn envelope(facts: &Facts, environment: &dyn Fn(&str) -> Option<String>) -> ResourceSpans {
    let scope = InstrumentationScope {
        name: "asyncscope".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ResourceSpans {
        resource: Some(resource::resource(facts, environment)),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans: Vec::new(), schema_url: SCHEMA_URL.to_owned() }],
        schema_url: SCHEMA_URL.to_owned(),
    }
}
