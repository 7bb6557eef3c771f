//! OTLP/JSON, a request a line, as the file exporters of OpenTelemetry write it.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/>

use std::io::{self, Write};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::verdict::Verdict;

pub(super) fn send(to: &mut impl Write, request: &ExportTraceServiceRequest) -> Verdict {
    match line(to, request) {
        Ok(()) => Verdict::Accepted { rejected: 0, message: String::new() },
        Err(error) => Verdict::Refused { why: error.to_string() },
    }
}

fn line(to: &mut impl Write, request: &ExportTraceServiceRequest) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}
