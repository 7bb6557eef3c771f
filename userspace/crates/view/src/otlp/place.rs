//! Where in which trace things belong.

use std::collections::BTreeMap;

use super::Spans;
use super::ids::{SpanId, TraceId, trace_of_correlation};
use asyncscope_model::{Format, Lineage, Owner, Request, RequestId};

/// Requests whose places are remembered after the graph has forgotten them: tasks may outlive theirs.
const REMEMBERED: usize = 1 << 16;

/// The place of a request's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// The earliest beginning of what is below it, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(super) began_ns: u64,
    /// `true` if there is a span.
    pub(super) sent: bool,
}

/// Spans that were made before.
#[derive(Debug, Default)]
pub struct KnownSpans {
    requests: BTreeMap<RequestId, SpanContext>,
}

/// The trace that a task's span belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskContext {
    /// A request's.
    Of(RequestId, SpanContext),
    /// That of its oldest ancestor, as it is of no request; of one of these, if any.
    Own(TraceId, Vec<RequestId>),
    /// None.
    Unsent,
}

/// The place of a request's span, to be remembered.
#[derive(Clone, Copy, Debug)]
pub struct Remembered(RequestId, SpanContext);

impl KnownSpans {
    /// Remembers where requests' spans are.
    pub fn remember(&mut self, places: impl IntoIterator<Item = Remembered>) {
        self.requests.extend(places.into_iter().map(|Remembered(id, place)| (id, place)));
        while self.requests.len() > REMEMBERED {
            self.requests.pop_first();
        }
    }
}

impl Spans<'_> {
    /// Returns what has to be remembered of a request that the graph may forget.
    #[must_use]
    pub fn to_remember(&self, request: &Request) -> Remembered {
        Remembered(request.id, self.place_of(request))
    }

    pub(super) fn place(&self, id: RequestId) -> Option<SpanContext> {
        let here = self.graph.request(id).map(|request| self.place_of(request));
        here.or_else(|| self.known.requests.get(&id).copied())
    }

    pub(super) fn place_of(&self, request: &Request) -> SpanContext {
        let context = request.ids.trace.filter(|_| !request.named_by_response);
        let named = || request.ids.values.iter().find(|id| id.format == Format::Plain && !id.cut);
        let trace = match (context, named()) {
            (Some(context), _) => context.trace_id,
            (None, Some(id)) => {
                let unix = self.clock.distance(request.opened_ns, request.opened_ns).unix(request.opened_ns);
                trace_of_correlation(&id.value, unix)
            }
            (None, None) => self.ids.own_trace("request's trace", request.id.0),
        };
        SpanContext {
            trace,
            span: self.ids.span("request", request.id.0),
            began_ns: request.opened_ns,
            sent: context.is_none_or(|context| context.sampled != Some(false)) && self.ratio.wants(trace),
        }
    }

    /// Returns the trace that a task's span belongs to, if that is decided.
    pub(super) fn place_of_task(&self, lineage: &Lineage) -> Option<TaskContext> {
        let owner = self.graph.owner_if_settled(lineage)?;
        if let Owner::Request(id) = owner
            && let Some(place) = self.place(id)
        {
            return Some(if place.sent { TaskContext::Of(id, place) } else { TaskContext::Unsent });
        }
        let trace = self.ids.trace(lineage.root);
        let candidates = owner.candidates().to_vec();
        let wanted = self.options.traces == super::Traces::Tasks || !candidates.is_empty();
        Some(match wanted && self.ratio.wants(trace) {
            true => TaskContext::Own(trace, candidates),
            false => TaskContext::Unsent,
        })
    }
}

impl TaskContext {
    /// The trace, if there is a span.
    pub(super) fn trace(&self) -> Option<TraceId> {
        match self {
            Self::Of(_, place) => Some(place.trace),
            Self::Own(trace, _) => Some(*trace),
            Self::Unsent => None,
        }
    }
}
