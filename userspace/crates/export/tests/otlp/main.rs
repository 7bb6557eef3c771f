//! The exporter against a backend that misbehaves in every way that backends do, over both protocols.
//!
//! Nothing here judges time: what is awaited comes in the end, and what must not happen is counted.
#![expect(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod faults;
mod plain;
mod tls;

use std::time::Duration;

use asyncscope_export::{Account, Destination, Exporter, Protocol, Settings};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];
/// Long: where it ends, something hangs.
const LONG: &str = "60000";
/// Short: for backends that never answer.
const SHORT: &str = "300";

/// Settings as the environment would give them.
fn settings(protocol: Protocol, url: &str, more: &[(&str, &str)]) -> Settings {
    let protocol = match protocol {
        Protocol::Grpc => "grpc",
        Protocol::Http => "http/protobuf",
    };
    let environment = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some(protocol.to_owned()),
        _ => more.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()),
    };
    Settings::new(Some(url), &environment).unwrap()
}

fn local(protocol: Protocol, port: u16, timeout: &str) -> Settings {
    settings(protocol, &format!("http://127.0.0.1:{port}"), &[("OTEL_EXPORTER_OTLP_TIMEOUT", timeout)])
}

fn exporter(settings: Settings) -> Exporter {
    Exporter::start(Destination::Backend(Box::new(settings)), ResourceSpans::default()).unwrap()
}

fn span(number: u64) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: number.to_be_bytes().to_vec(),
        name: format!("span {number}"),
        start_time_unix_nano: number,
        end_time_unix_nano: number + 1,
        ..Span::default()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(300), future).await.unwrap() })
}

/// Ends it as the agent does at the end of a run.
fn finish(mut exporter: Exporter) -> Account {
    exporter.hurry();
    drop(exporter.inlet());
    block_on(exporter.closed())
}

/// Sends this many spans, to the end.
fn send(settings: Settings, spans: u64) -> Account {
    let exporter = exporter(settings);
    (1..=spans).for_each(|number| exporter.offer(span(number)));
    finish(exporter)
}

/// Their numbers, sorted.
fn numbers(spans: &[Span]) -> Vec<u64> {
    let number = |span: &Span| u64::from_be_bytes(span.span_id.as_slice().try_into().unwrap());
    let mut numbers: Vec<u64> = spans.iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}
