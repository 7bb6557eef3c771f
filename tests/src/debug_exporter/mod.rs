//! Spans as the collector's debug exporter prints them, to hold what it printed against what was sent.
//!
//! The format is that of [`otlptext`]. It says everything of a span but its flags.
//!
//! [`otlptext`]: https://github.com/open-telemetry/opentelemetry-collector/tree/v0.152.0/exporter/debugexporter/internal/otlptext

mod date;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

/// Everything printed, however it was cut into batches.
#[derive(Debug, Default)]
pub struct Printed {
    /// The distinct resources and scopes.
    envelopes: BTreeSet<String>,
    /// Spans with all that belongs to them, each with how often.
    spans: BTreeMap<String, usize>,
}

impl Printed {
    /// Returns what would be printed of these.
    ///
    /// # Errors
    ///
    /// If a value is of a type that asyncscope does not send.
    pub fn of(requests: &[ExportTraceServiceRequest]) -> Result<Self> {
        let mut printed = Self::default();
        for resource in requests.iter().flat_map(|request| &request.resource_spans) {
            for scope in &resource.scope_spans {
                printed.envelope(&text::envelope(resource, scope)?);
                for span in &scope.spans {
                    printed.span(&text::span(span)?);
                }
            }
        }
        Ok(printed)
    }

    /// Returns what these lines say.
    ///
    /// # Errors
    ///
    /// If a line belongs to nothing.
    pub fn read(lines: &[String]) -> Result<Self> {
        let mut printed = Self::default();
        let mut block = String::new();
        for line in lines {
            if line.starts_with("Traces\t{") || line.starts_with("ResourceSpans #") || line.starts_with("Span #") {
                printed.block(&std::mem::take(&mut block))?;
            }
            block.push_str(line);
            block.push('\n');
        }
        printed.block(&block)?;
        Ok(printed)
    }

    fn block(&mut self, block: &str) -> Result<()> {
        if let Some((_number, span)) = block.strip_prefix("Span #").and_then(|rest| rest.split_once('\n')) {
            self.span(span);
        } else if let Some((_number, rest)) =
            block.strip_prefix("ResourceSpans #").and_then(|rest| rest.split_once('\n'))
        {
            self.envelope(rest);
        } else {
            ensure!(block.is_empty() || block.starts_with("Traces\t{"), "what is {block:?}?");
        }
        Ok(())
    }

    fn envelope(&mut self, text: &str) {
        self.envelopes.insert(text.trim_end().to_owned());
    }

    fn span(&mut self, text: &str) {
        // Each message ends in an empty line, which the last span's block has.
        *self.spans.entry(text.trim_end().to_owned()).or_default() += 1;
    }

    /// Returns how many spans there are.
    #[must_use]
    pub fn spans(&self) -> usize {
        self.spans.values().sum()
    }

    /// Returns how many spans have this in their text.
    #[must_use]
    pub fn spans_with(&self, text: &str) -> usize {
        self.spans.iter().filter(|(span, _)| span.contains(text)).map(|(_, count)| count).sum()
    }

    fn lines(&self, start: &str) -> usize {
        let within = |span: &str| span.lines().filter(|line| line.starts_with(start)).count();
        self.spans.iter().map(|(span, count)| within(span) * count).sum()
    }

    /// Compares, letter by letter.
    ///
    /// # Errors
    ///
    /// If they differ, with the first spans that do.
    pub fn equal(&self, reported: &Self) -> Result<()> {
        let differing = |a: &Self, b: &Self| -> Vec<String> {
            a.spans
                .iter()
                .filter(|(span, count)| b.spans.get(*span) != Some(*count))
                .map(|(span, _)| span.clone())
                .collect()
        };
        let (only_got, only_reported) = (differing(self, reported), differing(reported, self));
        let shown = |spans: &[String]| spans.iter().take(2).cloned().collect::<Vec<_>>().join("\n");
        ensure!(
            only_got.is_empty() && only_reported.is_empty(),
            "{self} printed, {reported} reported; {} spans only printed:\n{}\n{} only reported:\n{}",
            only_got.len(),
            shown(&only_got),
            only_reported.len(),
            shown(&only_reported)
        );
        ensure!(self.spans() > 0, "no spans");
        ensure!(
            self.envelopes == reported.envelopes,
            "resources: {:#?} printed, {:#?} reported",
            self.envelopes,
            reported.envelopes
        );
        Ok(())
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (links, events) = (self.lines("SpanLink #"), self.lines("SpanEvent #"));
        write!(out, "{} spans, {links} links, {events} events", self.spans())
    }
}

#[cfg(test)]
mod tests;
