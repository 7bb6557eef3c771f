//! Attributes in the form of the protocol.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

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
