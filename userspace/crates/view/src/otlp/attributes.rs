//! Attributes in the form of the protocol.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

use super::Spans;
use asyncscope_model::Gap;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

pub(super) fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

pub(super) fn flag(key: &str) -> KeyValue {
    attribute(key, Value::BoolValue(true))
}

/// Returns attributes for events that are missing in this time.
pub(super) fn losses(spans: &Spans<'_>, (start_ns, end_ns): (u64, u64)) -> Vec<KeyValue> {
    let overlaps = |gap: &&Gap| gap.since_ns <= end_ns && gap.until_ns >= start_ns;
    let (mut gaps, mut lost) = (0, 0u64);
    for gap in spans.graph.gaps().iter().filter(overlaps) {
        gaps += 1;
        lost = lost.saturating_add(gap.lost);
    }
    match gaps {
        0 => Vec::new(),
        _ => vec![number("asyncscope.gaps", gaps), number("asyncscope.events_lost", lost)],
    }
}
