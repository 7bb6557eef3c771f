//! Links between spans, and the flags that say whose the other end is.

use opentelemetry_proto::tonic::trace::v1::{SpanFlags, span::Link};

use super::Spans;
use super::attributes::text;
use super::place::SpanContext;
use asyncscope_model::Owner;

/// The trace flags of all spans: sampled.
pub(super) const SAMPLED: u32 = 1;
/// [`SAMPLED`], with a parent or a link that is known to be of this process.
pub(super) const LOCAL: u32 = SAMPLED | SpanFlags::ContextHasIsRemoteMask as u32;
/// [`SAMPLED`], with a parent or a link that is known to be of another process.
pub(super) const REMOTE: u32 = LOCAL | SpanFlags::ContextIsRemoteMask as u32;

/// Links to requests of which something may be.
pub(super) fn candidates(spans: &Spans<'_>, owner: &Owner) -> Vec<Link> {
    let Owner::Ambiguous(ids) = owner else {
        return Vec::new();
    };
    let places = ids.iter().filter_map(|id| spans.place(*id)).filter(|place| place.sent);
    places.map(|place| link(spans, &place, "candidate")).collect()
}

fn link(spans: &Spans<'_>, place: &SpanContext, what: &str) -> Link {
    Link {
        trace_id: place.trace.to_vec(),
        span_id: place.span.to_vec(),
        trace_state: spans.ratio.trace_state(),
        attributes: vec![text("asyncscope.link", what)],
        dropped_attributes_count: 0,
        flags: LOCAL,
    }
}
