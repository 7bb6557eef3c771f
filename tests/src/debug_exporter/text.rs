//! The text of one span, and of what is said of many.

use std::fmt::{Display, Write};

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::date::utc;

/// Of the resource and the scope, without their numbers.
pub(super) fn envelope(resource: &ResourceSpans, scope: &ScopeSpans) -> Result<String> {
    let mut text = format!("Resource SchemaURL: {}\n", resource.schema_url);
    let resource = resource.resource.as_ref().map(|resource| resource.attributes.as_slice());
    attributes(&mut text, "Resource attributes", "     ->", resource.unwrap_or_default())?;
    writeln!(text, "ScopeSpans #0\nScopeSpans SchemaURL: {}", scope.schema_url)?;
    let scope = scope.scope.clone().unwrap_or_default();
    writeln!(text, "InstrumentationScope {} {}", scope.name, scope.version)?;
    attributes(&mut text, "InstrumentationScope attributes", "     ->", &scope.attributes)?;
    Ok(text)
}

/// Of a span, without its number.
pub(super) fn span(span: &Span) -> Result<String> {
    let mut text = String::new();
    field(&mut text, "Trace ID", hex(&span.trace_id))?;
    field(&mut text, "Parent ID", hex(&span.parent_span_id))?;
    field(&mut text, "ID", hex(&span.span_id))?;
    field(&mut text, "Name", &span.name)?;
    field(&mut text, "Kind", kind(span.kind)?)?;
    if !span.trace_state.is_empty() {
        field(&mut text, "TraceState", &span.trace_state)?;
    }
    field(&mut text, "Start time", utc(span.start_time_unix_nano))?;
    field(&mut text, "End time", utc(span.end_time_unix_nano))?;
    let status = span.status.clone().unwrap_or_default();
    field(&mut text, "Status code", code(status.code)?)?;
    field(&mut text, "Status message", status.message)?;
    field(&mut text, "DroppedAttributesCount", span.dropped_attributes_count)?;
    field(&mut text, "DroppedEventsCount", span.dropped_events_count)?;
    field(&mut text, "DroppedLinksCount", span.dropped_links_count)?;
    attributes(&mut text, "Attributes", "     ->", &span.attributes)?;
    events(&mut text, span)?;
    links(&mut text, span)?;
    Ok(text)
}

fn events(text: &mut String, span: &Span) -> Result<()> {
    if !span.events.is_empty() {
        writeln!(text, "Events:")?;
    }
    for (number, event) in span.events.iter().enumerate() {
        writeln!(text, "SpanEvent #{number}\n     -> Name: {}", event.name)?;
        writeln!(text, "     -> Timestamp: {}", utc(event.time_unix_nano))?;
        writeln!(text, "     -> DroppedAttributesCount: {}", event.dropped_attributes_count)?;
        attributes(text, "     -> Attributes:", "          ->", &event.attributes)?;
    }
    Ok(())
}

fn links(text: &mut String, span: &Span) -> Result<()> {
    if !span.links.is_empty() {
        writeln!(text, "Links:")?;
    }
    for (number, link) in span.links.iter().enumerate() {
        writeln!(text, "SpanLink #{number}\n     -> Trace ID: {}", hex(&link.trace_id))?;
        writeln!(text, "     -> ID: {}\n     -> TraceState: {}", hex(&link.span_id), link.trace_state)?;
        writeln!(text, "     -> DroppedAttributesCount: {}", link.dropped_attributes_count)?;
        attributes(text, "     -> Attributes:", "          ->", &link.attributes)?;
    }
    Ok(())
}

fn field(text: &mut String, name: &str, value: impl Display) -> Result<()> {
    Ok(writeln!(text, "    {name:<15}: {value}")?)
}

fn attributes(text: &mut String, title: &str, prefix: &str, attributes: &[KeyValue]) -> Result<()> {
    if !attributes.is_empty() {
        writeln!(text, "{title}:")?;
    }
    for attribute in attributes {
        let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(value)) => format!("Str({value})"),
            Some(Value::IntValue(value)) => format!("Int({value})"),
            Some(Value::BoolValue(value)) => format!("Bool({value})"),
            other => bail!("an attribute of another type: {other:?}"),
        };
        writeln!(text, "{prefix} {}: {value}", attribute.key)?;
    }
    Ok(())
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn kind(kind: i32) -> Result<&'static str> {
    Ok(match kind {
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        other => bail!("a span of kind {other}"),
    })
}

fn code(code: i32) -> Result<&'static str> {
    Ok(match code {
        0 => "Unset",
        1 => "Ok",
        2 => "Error",
        other => bail!("a status of code {other}"),
    })
}
